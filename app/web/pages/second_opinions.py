"""Ask a colleague, take the question back, choose what to see before one's own verdict; all that is asked."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import consult
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, Conflict, Forbidden, Unprocessable
from app.queries import second_opinions as queries
from app.queries.second_opinions import Correspondence
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.drafts import Aside
from app.web.pages.forms import Posted
from app.web.pages.render import onwards, page, see
from app.web.pages.study import study_page_of

router = APIRouter(route_class=GuardedRoute)
_Radiologist = Annotated[Caller, require(Permission.REVIEW)]


@router.get("/second-opinions")
def second_opinions_page(
    request: Request,
    caller: _Radiologist,
    side: Literal["asked", "answered"] = "asked",
    cursor: str | None = None,
) -> Response:
    """All that the caller is asked, the oldest first, or all that they were answered and have not seen."""
    with transaction() as session:
        if side == "asked":
            shown = queries.asked_of(session, who=caller.actor, cursor=cursor)
            letters = Correspondence(asked=shown.opinions)
        else:
            shown = queries.answers_to(session, who=caller.actor, cursor=cursor)
            letters = Correspondence(answers=shown.opinions)
    return page(
        request,
        "second_opinions.html",
        caller=caller,
        letters=letters,
        next_cursor=shown.next_cursor,
        is_first=cursor is None,
        side=side,
    )


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
    return onwards(request, f"/studies/{study_id}")


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
