"""What an administrator chooses for the whole site."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import blinding, promotion
from app.domain.roles import Caller, Permission
from app.errors import Problem, Unprocessable
from app.queries import site as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see

router = APIRouter(prefix="/site", route_class=GuardedRoute)
_Administrator = Annotated[Caller, require(Permission.MANAGE_SITE)]


@router.get("")
def site_page(
    request: Request, caller: _Administrator, changed: bool = False, people_changed: bool = False
) -> Response:
    """The share of studies that are read blind, and how many people a promotion takes."""
    return _site(request, caller, changed=changed, people_changed=people_changed)


@router.post("/blind-share")
def set_blind_share(request: Request, form: Posted, caller: _Administrator) -> Response:
    """So many per cent of the studies that are admitted from now on are read blind."""
    try:
        with transaction() as session:
            blinding.set_share(session, share=_number(form.text("share")), by=caller.actor)
    except Unprocessable as problem:
        return _site(request, caller, problem=problem, typed=form.text("share"))
    return see("/site?changed=true")


@router.post("/promotion-people")
def set_promotion_people(request: Request, form: Posted, caller: _Administrator) -> Response:
    """So many people does it take from now on to promote a network."""
    try:
        with transaction() as session:
            promotion.set_people(session, people=form.number("people") or 0, by=caller.actor)
    except Unprocessable as problem:
        return _site(request, caller, problem=problem)
    return see("/site?people_changed=true")


def _site(
    request: Request,
    caller: Caller,
    *,
    changed: bool = False,
    people_changed: bool = False,
    problem: Problem | None = None,
    typed: str | None = None,
) -> Response:
    with transaction() as session:
        share, reads = queries.blind_share(session), queries.blind_reads(session)
        people = promotion.people_needed(session)
    return page(
        request,
        "site.html",
        caller=caller,
        status=problem.status if problem else 200,
        share=share,
        typed=f"{share.share:g}" if typed is None else typed,
        reads=reads,
        changed=changed,
        people=people,
        people_changed=people_changed,
        problem=problem,
    )


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise Unprocessable("The share is a number from 0 to 100, in per cent.") from None
