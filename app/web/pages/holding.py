"""Who holds a study: the forms that claim it, let go of it, and take it over with a reason."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.commands import opening, review, takeover
from app.domain.roles import Actor, Caller, Permission
from app.errors import BadRequest, Conflict, Unprocessable
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.drafts import Aside
from app.web.pages.forms import Posted
from app.web.pages.render import onwards, see
from app.web.pages.study import study_page_of

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)
_LOOKS, _BETWEEN_SECONDS = 20, 0.25
"""How long the opening of a page that was left before its answer is waited for."""


@router.post("/claim")
def claim(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Response:
    """The caller holds the study; again prolongs it."""
    with transaction() as session:
        review.claim(session, study_id=study_id, by=caller.actor, minutes=settings().claim_minutes)
    return see(f"/studies/{study_id}")


@router.post("/release")
def release(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Response:
    """The study is free again."""
    with transaction() as session:
        review.release(session, study_id=study_id, by=caller.actor)
    return see("/")


@router.post("/opened")
def opened(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> dict[str, str | None]:
    """The study is on the caller's screen, and theirs if it is free: until when, for `left` (null: nothing is
    let go of by leaving).
    """
    with transaction() as session:
        until = opening.open_study(
            session, study_id=study_id, by=caller.actor, minutes=settings().claim_minutes
        )
    return {"held_until": until.isoformat() if until else None}


@router.post("/left")
def left(study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Response:
    """The caller has left the study with nothing done; the hold that opening it began has ended. Whoever left
    before they were told until when they hold it says since when the page was shown.
    """
    held_until, shown_at = form.moment("held_until"), form.moment("shown_at")
    if held_until is None and shown_at is None:
        raise BadRequest("The request does not say until when the study was held.")
    if held_until is not None:
        with transaction() as session:
            opening.leave_study(session, study_id=study_id, by=caller.actor, held_until=held_until)
    if held_until is not None or shown_at is None or _leave_unheard(study_id, caller.actor, shown_at):
        return Response(status_code=204)
    return Response(
        status_code=204, background=BackgroundTask(_leave_once_held, study_id, caller.actor, shown_at)
    )


async def _leave_once_held(study_id: UUID, by: Actor, shown_at: datetime) -> None:
    """Nobody waits for it, and no sender for the reader who has left."""
    for _ in range(_LOOKS):
        await asyncio.sleep(_BETWEEN_SECONDS)
        if await run_in_threadpool(_leave_unheard, study_id, by, shown_at):
            return


def _leave_unheard(study_id: UUID, by: Actor, shown_at: datetime) -> bool:
    with transaction() as session:
        return opening.leave_unheard(
            session, study_id=study_id, by=by, shown_at=shown_at, minutes=settings().claim_minutes
        )


@router.post("/take-over")
def take_over(
    request: Request, study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.REVIEW)]
) -> Response:
    """The study is the caller's; whoever held it reads the reason on their page at once."""
    held_since = form.moment("held_since")
    if held_since is None:
        raise BadRequest("The form does not say since when the study is held. Load the page again.")
    try:
        with transaction() as session:
            takeover.take_over(
                session,
                study_id=study_id,
                by=caller.actor,
                reason=form.text("reason"),
                held_since=held_since,
                minutes=settings().claim_minutes,
            )
    except (Conflict, Unprocessable) as problem:
        aside = Aside(reason=form.text("reason"))
        return study_page_of(request, study_id, caller, status=problem.status, problem=problem, aside=aside)
    return onwards(request, f"/studies/{study_id}")
