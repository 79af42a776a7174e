"""Signing in and out: throttled, audited, and the only place that writes the session cookie."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request, Response

from app.commands import people
from app.domain.roles import Actor, SignedIn
from app.errors import NotSignedIn, TooManyRequests
from app.queries.people import is_username
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import SESSION_COOKIE
from app.web.parts import parts_of
from app.web.problems import refuse


def sign_in(request: Request, *, username: str, password: str) -> SignedIn:
    """A new session for the right password; call it in a thread and give the token to `set_session_cookie`.

    Raises NotSignedIn, or TooManyRequests after too many attempts; both leave an audit row.
    """
    address = request.client.host if request.client else None
    throttle = parts_of(request).throttle
    try:
        throttle.check(username=username, address=address)
    except TooManyRequests as problem:
        refuse(request, problem, username=_audited_name(username))
        raise
    try:
        with transaction() as session:
            signed_in = people.sign_in(
                session,
                username=username,
                password=password,
                address=address,
                lifetime=timedelta(hours=settings().session_hours),
            )
    except NotSignedIn as problem:
        throttle.wrong(address=address)
        refuse(request, problem, username=_audited_name(username))
        raise
    throttle.right(username=username)
    return signed_in


def _audited_name(username: str) -> str:
    """The name if there is such a user; anything else may be a password typed into the wrong field."""
    with transaction() as session:
        known = is_username(session, username=username)
    return username.strip().lower() if known else "(unknown)"


def sign_out(*, by: Actor) -> None:
    """The caller's session has ended; give the response to `clear_session_cookie`."""
    with transaction() as session:
        people.sign_out(session, by=by)


def set_session_cookie(response: Response, token: str) -> None:
    """The browser keeps the session; scripts cannot read it and other sites cannot send it with a POST."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(settings().session_hours * 3600),
        httponly=True,
        samesite="lax",
        secure=not settings().insecure_cookies,
        path="/",
    )


def clear_session_cookie(response: Response) -> None:
    """The browser forgets the session."""
    response.delete_cookie(
        SESSION_COOKIE, httponly=True, samesite="lax", secure=not settings().insecure_cookies, path="/"
    )


def safe_next(address: str | None) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")) or "\\" in address:
        return "/"
    return address if address.isprintable() else "/"
