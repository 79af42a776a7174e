"""Ask a colleague, take the question back, and choose what to see before one's own verdict."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import consult
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, Conflict, Forbidden, Unprocessable
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.drafts import Aside
from app.web.pages.forms import Posted
from app.web.pages.render import see
from app.web.pages.study import study_page_of

router = APIRouter(route_class=GuardedRoute)
_Radiologist = Annotated[Caller, require(Permission.REVIEW)]


@router.post("/studies/{study_id}/second-opinion")
def ask(request: Request, study_id: UUID, form: Posted, caller: _Radiologist) -> Response:
    """The study stands on the colleague's worklist, with the question."""
    try:
        with transaction() as session:
            consult.ask(
                session,
                study_id=study_id,
                of=form.id("colleague"),
                question=form.text("question"),
                by=caller.actor,
            )
    except (BadRequest, Conflict, Forbidden, Unprocessable) as problem:
        aside = Aside(question=form.text("question"), colleague=form.text("colleague"))
        return study_page_of(request, study_id, caller, status=problem.status, problem=problem, aside=aside)
    return see(f"/studies/{study_id}")


@router.post("/second-opinions/{opinion_id}/withdraw")
def withdraw(opinion_id: UUID, caller: _Radiologist) -> Response:
    """The colleague is no longer asked."""
    with transaction() as session:
        study_id = consult.withdraw(session, opinion_id=opinion_id, by=caller.actor)
    return see(f"/studies/{study_id}")


@router.post("/second-opinions/{opinion_id}/verdicts")
def show_verdicts(opinion_id: UUID, caller: _Radiologist) -> Response:
    """The caller, who is asked, sees the verdicts of others before giving their own."""
    with transaction() as session:
        study_id = consult.show_verdicts(session, opinion_id=opinion_id, by=caller.actor)
    return see(f"/studies/{study_id}")
