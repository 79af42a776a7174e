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
from app.queries.next_study import following, next_after
from app.queries.study_page import StudyFacts, facts
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


def is_made_of(page: str, known: StudyFacts, caller: Caller) -> bool:
    """True where `page` is the digest of what the page is made of now."""
    return hmac.compare_digest(made_of(known, caller).encode(), page.encode(errors="replace"))


def view_of_next(session: Any, next_id: UUID, caller: Caller) -> str:
    """The view of what is opened next is on record, once however often the signature is sent; a digest of
    what its page is made of now. What the study was asked about is no news only once the page is shown.
    """
    known = facts(session, study_id=next_id, to=caller.actor)
    viewing.look(session, study_id=next_id, by=caller.actor, via="page")
    return made_of(known, caller)


def see(session: Any, known: StudyFacts, caller: Caller, *, told: str | None = None) -> None:
    """The page is before its reader, which is on record: as one view with what the signature that led here
    put there, where that `told` of what the page is made of now.
    """
    study_id = known.shown.entry.study_id
    audited = viewing.look if told and is_made_of(told, known, caller) else viewing.view
    audited(session, study_id=study_id, by=caller.actor, via="page")
    second_opinions.seen(session, study_id=study_id, by=caller.actor)


@router.post("/shown")
def shown(
    study_id: UUID, form: Posted, caller: Annotated[Caller, require(Permission.READ)]
) -> dict[str, bool]:
    """Puts the view of a page that was made ahead on record, if it still says what is so: `same`."""
    with transaction() as session:
        known = facts(session, study_id=study_id, to=caller.actor)
        same = is_made_of(form.text("page"), known, caller)
        if same:
            see(session, known, caller)
    return {"same": same}


@router.get("/onwards")
def onwards(
    request: Request,
    study_id: UUID,
    caller: Annotated[Caller, require(Permission.READ)],
    signed: UUID | None = None,
) -> Response:
    """What a page that was made ahead could not know: where a signature leads and where key 3 does, and the
    signature that led here. An open page asks anew once something has happened to the study that came next.

    It is asked once the page is shown: what the study was asked about and is answered is no news any more.
    """
    with transaction() as session:
        second_opinions.seen(session, study_id=study_id, by=caller.actor)
        reader = caller.actor.name
        next_id = next_after(session, study_id=study_id, reader=reader)
        following_id = following(session, study_id=study_id, reader=reader)
        last = last_signature(session, study_id=signed, by=caller.actor) if signed else None
    here = f"/studies/{study_id}"
    said = {"signed": signed, "just_signed": last, "here": here, "caller": caller}
    ahead: Ahead = request.app.state.ahead
    return JSONResponse(
        {
            "next": f"/studies/{next_id}" if next_id else None,
            "following": f"/studies/{following_id}" if following_id else None,
            "signed": fragment("signed.html", **said) if signed else None,
        },
        background=ahead.of(study_id, reader=caller.actor, parts=parts_of(request)),
    )
