"""One's own second factor: set up with a QR code or a secret to type, renewed, removed."""

from __future__ import annotations

from typing import Annotated, Any

import pyotp
import segno
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import second_factor
from app.domain.roles import Caller
from app.errors import Conflict, Problem, TooManyRequests, Unprocessable
from app.queries import people as queries
from app.records.engine import transaction
from app.settings import settings
from app.web import sign_in as sessions
from app.web.auth import GuardedRoute, signed_in
from app.web.pages.forms import Posted, press_of
from app.web.pages.render import page, see

router = APIRouter(prefix="/account/second-factor", route_class=GuardedRoute)
_Self = Annotated[Caller, signed_in(without_second_factor=True)]
_REFUSALS = (Conflict, Unprocessable, TooManyRequests)


@router.get("")
def second_factor_page(request: Request, caller: _Self) -> Response:
    """What there is, and what can be done about it."""
    return _page(request, caller)


@router.post("/begin")
def begin(request: Request, form: Posted, caller: _Self) -> Response:
    """Shows a new secret, as a QR code and as text, once the password was given. No other page shows it: a
    session alone must not be able to put it in force.
    """
    try:
        with sessions.Reproof(request, caller), transaction() as session:
            secret = second_factor.begin(
                session, password=form.secret("password"), by=caller.actor, press=press_of(request, form)
            )
    except _REFUSALS as problem:
        return _page(request, caller, problem=problem)
    return _page(request, caller, secret=secret)


@router.post("/confirm")
def confirm(request: Request, form: Posted, caller: _Self) -> Response:
    """The second factor is in force; shows the recovery codes, once."""
    try:
        with sessions.Reproof(request, caller), transaction() as session:
            codes, rotated = second_factor.confirm(session, code=form.text("code"), by=caller.actor)
    except _REFUSALS as problem:
        return _page(request, caller, problem=problem)
    response = page(request, "recovery_codes.html", caller=caller, tallied=False, codes=codes)
    sessions.set_session_cookie(response, rotated.token)
    return response


@router.post("/recovery-codes")
def renew(request: Request, form: Posted, caller: _Self) -> Response:
    """New recovery codes, shown once; those of before open nothing."""
    try:
        with sessions.Reproof(request, caller), transaction() as session:
            codes = second_factor.renew_recovery_codes(
                session, code=form.text("code"), by=caller.actor, press=press_of(request, form)
            )
    except _REFUSALS as problem:
        return _page(request, caller, problem=problem)
    return page(request, "recovery_codes.html", caller=caller, codes=codes)


@router.post("/remove")
def remove(request: Request, form: Posted, caller: _Self) -> Response:
    """The password alone is asked for again."""
    try:
        with sessions.Reproof(request, caller), transaction() as session:
            rotated = second_factor.remove(session, code=form.text("code"), by=caller.actor)
    except _REFUSALS as problem:
        return _page(request, caller, problem=problem)
    response = see("/account/second-factor")
    sessions.set_session_cookie(response, rotated.token)
    return response


def _page(
    request: Request, caller: Caller, *, secret: str | None = None, problem: Problem | None = None
) -> Response:
    with transaction() as session:
        factor = queries.second_factor(session, who=caller.actor)
    shown: dict[str, Any] = {"qr": None, "secret": None}
    if secret is not None:
        shown = {"qr": _qr(secret, name=caller.actor.name), "secret": _spelled(secret)}
    return page(
        request,
        "second_factor.html",
        caller=caller,
        status=problem.status if problem else 200,
        factor=factor,
        problem=problem,
        **shown,
    )


def _qr(secret: str, *, name: str) -> str:
    """An inline SVG without a style: what an app reads by the camera. It leaves this machine nowhere."""
    address = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=settings().site_name)
    code = segno.make(address, error="m", micro=False)
    return code.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=False)


def _spelled(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
