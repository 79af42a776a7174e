"""A candidate in shadow: what it would have said, and where studies would have stood."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import shadow as commands
from app.domain.roles import Caller, Permission
from app.errors import Conflict, NotFound
from app.queries.bundles import bundle, in_shadow
from app.queries.shadow import LANES, NEWEST, shadow_shown
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page, see

router = APIRouter(prefix="/models/{sha256}/shadow", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]


@router.get("")
def shadow(request: Request, sha256: str, caller: _Trainer) -> Response:
    """Agreement, who would have moved, how often each was right, and where they differ."""
    return _page(request, sha256, caller)


@router.post("/begin")
def begin(request: Request, sha256: str, caller: _Trainer) -> Response:
    """From now on it reads beside the active one."""
    try:
        with transaction() as session:
            commands.begin(session, sha256=sha256, by=caller.actor)
    except Conflict as problem:
        return _page(request, sha256, caller, problem=problem)
    return see(f"/models/{sha256}/shadow")


@router.post("/end")
def end(sha256: str, caller: _Trainer) -> Response:
    """It reads no more; pressed again, it has ended already."""
    with suppress(NotFound), transaction() as session:
        commands.end(session, sha256=sha256, by=caller.actor)
    return see(f"/models/{sha256}/shadow")


def _page(request: Request, sha256: str, caller: Caller, *, problem: Conflict | None = None) -> Response:
    with transaction() as session:
        shown = shadow_shown(session, sha256=sha256, credits=settings().credits, to=caller.actor)
        runs = in_shadow(session)
        other = bundle(session, sha256=runs) if runs is not None and runs != sha256 else None
    return page(
        request,
        "shadow.html",
        caller=caller,
        status=problem.status if problem else 200,
        shown=shown,
        other=other,
        lanes=LANES,
        newest=NEWEST,
        problem=problem,
    )
