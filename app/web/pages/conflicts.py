"""Conflicts of identity, for the administrator to decide."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import conflicts as commands
from app.domain.roles import Caller, Permission
from app.errors import Conflict, Problem, Unprocessable
from app.queries import conflicts as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see

router = APIRouter(prefix="/conflicts", route_class=GuardedRoute)
_Manager = Annotated[Caller, require(Permission.RESOLVE_CONFLICTS)]


@router.get("")
def conflicts_page(request: Request, caller: _Manager) -> Response:
    """The open conflicts, and those decided last."""
    return _conflicts(request, caller)


@router.post("/{conflict_id}")
def resolve(request: Request, conflict_id: UUID, form: Posted, caller: _Manager) -> Response:
    """The conflict is decided, in the administrator's words."""
    try:
        with transaction() as session:
            commands.resolve(
                session, conflict_id=conflict_id, resolution=form.text("resolution"), by=caller.actor
            )
    except (Conflict, Unprocessable) as problem:
        return _conflicts(request, caller, problem=problem)
    return see("/conflicts")


def _conflicts(request: Request, caller: Caller, *, problem: Problem | None = None) -> Response:
    with transaction() as session:
        open_ones = queries.conflicts(session)
        more = queries.open_conflicts(session) - len(open_ones)
        resolved = queries.conflicts(session, resolved=True, size=50)
    return page(
        request,
        "conflicts.html",
        caller=caller,
        status=problem.status if problem else 200,
        open_ones=open_ones,
        more=more,
        resolved=resolved,
        longest=commands.LONGEST_RESOLUTION,
        problem=problem,
    )
