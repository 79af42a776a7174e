"""A study's page that the browser fetched before its reader asked for it, and the moment it is shown.

While one study is read, a browser can make the page of the next one ahead of time (it says so: `Sec-Purpose:
prefetch`). That is no view and claims nothing: the page is covered, and knows of what it was made. It is
uncovered once the view is on record and all of it still holds. Whoever signs is told of what the next page is
made now, with its view on record already; whoever comes to it otherwise asks `shown`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.commands import second_opinions, viewing
from app.domain.roles import Caller, Permission
from app.queries.history import last_signature
from app.queries.study_page import StudyFacts, facts
from app.queries.worklist import next_after
from app.records.engine import transaction
from app.web.ahead import Ahead
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import fragment
from app.web.parts import parts_of
from app.web.static import static_url

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)


def made_of(known: StudyFacts, caller: Caller) -> str:
    """A digest of all that a page says of the study to this session of the caller's."""
    actor = caller.actor
    to = (actor.id, actor.name, sorted(actor.permissions), caller.csrf_token, caller.language)
    return hashlib.sha256(f"{known.lasting} {to}".encode()).hexdigest()


def let_make_ahead(response: Response) -> Response:
    """The page's browser may make the one ahead to which a link with `data-ahead` leads.

    What was signed before is told when the page is shown, so it is the same page whatever its address says.
    """
    response.headers["Speculation-Rules"] = f'"{static_url("ahead.speculationrules")}"'
    response.headers["No-Vary-Search"] = 'params=("signed" "shown")'
    return response


def view_of_next(next_id: UUID, caller: Caller) -> str:
    """The view of what is opened next is on record; a digest of what its page is made of now."""
    with transaction() as session:
        known = facts(session, study_id=next_id, to=caller.actor)
        _see(session, next_id, caller)
    return made_of(known, caller)


@router.post("/shown")
def shown(
    study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.READ)]
) -> dict[str, bool]:
    """Puts the view of a page that was made ahead on record, if it still says what is so: `same`."""
    with transaction() as session:
        known = facts(session, study_id=study_id, to=caller.actor)
        same = hmac.compare_digest(made_of(known, caller), form.text("page"))
        if same:
            _see(session, study_id, caller)
    return {"same": same}


@router.get("/onwards")
def onwards(
    request: Request,
    study_id: UUID,
    caller: Annotated[Caller, require(Permission.READ)],
    signed: UUID | None = None,
) -> Response:
    """What a page that was made ahead could not know: the next study, and the signature that led here."""
    with transaction() as session:
        next_id = next_after(session, study_id=study_id, reader=caller.actor.name)
        last = last_signature(session, study_id=signed, by=caller.actor) if signed else None
    here = f"/studies/{study_id}"
    said = {"signed": signed, "just_signed": last, "here": here, "caller": caller}
    ahead: Ahead = request.app.state.ahead
    return JSONResponse(
        {
            "next": f"/studies/{next_id}" if next_id else None,
            "signed": fragment("signed.html", **said) if signed else None,
        },
        background=ahead.of(study_id, reader=caller.actor, parts=parts_of(request)),
    )


def _see(session: Any, study_id: UUID, caller: Caller) -> None:
    viewing.view(session, study_id=study_id, by=caller.actor, via="page")
    second_opinions.seen(session, study_id=study_id, by=caller.actor)
