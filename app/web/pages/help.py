"""Help: what the words mean, and the walk through a first case."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import preferences
from app.domain.roles import Caller, Permission
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require, signed_in
from app.web.pages.explained import TERMS, explained
from app.web.pages.forms import Posted
from app.web.pages.render import onwards, page

router = APIRouter(route_class=GuardedRoute)


@router.get("/help")
def help_page(request: Request, caller: Annotated[Caller, signed_in()], again: bool = False) -> Response:
    """All explanations, and the walk for whoever wants it again."""
    return page(request, "help.html", caller=caller, terms=[explained(term) for term in TERMS], again=again)


@router.post("/help/guide")
def guide(request: Request, form: Posted, caller: Annotated[Caller, require(Permission.READ)]) -> Response:
    """The walk through a first case is not offered to the caller any more, or is again."""
    again = form.text("again") == "yes"
    with transaction() as session:
        preferences.offer_guide(session, by=caller.actor, offer=again)
    if again:
        return onwards(request, "/help?again=true")
    return onwards(request, f"/studies/{form.id('study')}" if form.text("study") else "/")
