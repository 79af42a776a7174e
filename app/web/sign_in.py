"""Signing in and out: throttled, audited, and the only place that writes the session cookie."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request, Response

from app.commands import second_factor, sessions
from app.commands.passwords import WrongProof
from app.commands.sessions import Lockout
from app.domain.roles import Actor, Caller, SignedIn
from app.errors import NotSignedIn, TooManyRequests
from app.queries.people import is_username
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import SESSION_COOKIE
from app.web.parts import parts_of
from app.web.problems import refuse

WAITING_COOKIE = "firstread_second_factor"
"""Holds the token that a right password gave to somebody who has a second factor."""
_WAITING_SECONDS = 300


def sign_in(request: Request, *, username: str, password: str) -> SignedIn:
    """A new session for the right password, which may yet await the second factor; call it in a thread and
    give the token to `set_session_cookie` or `set_waiting_cookie`.

    Raises NotSignedIn, or TooManyRequests after too many attempts; both leave an audit row.
    """
    _check_throttle(request, username)
    try:
        with transaction() as session:
            signed_in = sessions.sign_in(
                session,
                username=username,
                password=password,
                address=address_of(request),
                lifetime=lifetime(),
                administrators_only=parts_of(request).provider is not None
                and settings().local_sign_in == "administrators",
            )
    except NotSignedIn as problem:
        _wrong(request, problem, username)
        raise
    if not signed_in.awaits_second_factor:
        parts_of(request).throttle.right(username=username)
        end_session_before(request)
    return signed_in


def finish_sign_in(request: Request, *, code: str) -> SignedIn:
    """A new session for the right code, after `sign_in` has waited for it; raises as `sign_in`."""
    token = request.cookies.get(WAITING_COOKIE, "")
    with transaction() as session:
        username = second_factor.name_of_waiting(session, token=token) or ""
    _check_throttle(request, username)
    try:
        with transaction() as session:
            signed_in = second_factor.finish_sign_in(
                session, token=token, code=code, address=address_of(request), lifetime=lifetime()
            )
    except NotSignedIn as problem:
        _wrong(request, problem, username)
        raise
    parts_of(request).throttle.right(username=username)
    end_session_before(request)
    return signed_in


def is_waiting(request: Request) -> bool:
    """Whether this browser has given a right password and not yet the code."""
    token = request.cookies.get(WAITING_COOKIE)
    if not token:
        return False
    with transaction() as session:
        return second_factor.name_of_waiting(session, token=token) is not None


class Reproof:
    """A question for the password or a code within a session: as often as at the sign-in, and no oftener.

    `with Reproof(request, caller):` around what raises WrongProof.
    """

    def __init__(self, request: Request, caller: Caller) -> None:
        self._request, self._name = request, caller.actor.name

    def __enter__(self) -> None:
        _check_throttle(self._request, self._name)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _trace: object
    ) -> None:
        if isinstance(problem, WrongProof):
            _wrong(self._request, problem, self._name)
        elif kind is None:
            parts_of(self._request).throttle.right(username=self._name)


def lifetime() -> timedelta:
    """How long a session lives at most."""
    return timedelta(hours=settings().session_hours)


def address_of(request: Request) -> str | None:
    """Where the request came from: the client of a trusted proxy, or whoever opened the connection."""
    return request.client.host if request.client else None


def _check_throttle(request: Request, username: str) -> None:
    try:
        parts_of(request).throttle.check(username=username, address=address_of(request))
    except TooManyRequests as problem:
        refuse(request, problem, username=_audited_name(username))
        raise


def _wrong(request: Request, problem: NotSignedIn | WrongProof, username: str) -> None:
    """Counted by address and by account, the last one of many locks it; and on record."""
    parts_of(request).throttle.wrong(address=address_of(request))
    lockout = Lockout(
        attempts=settings().lockout_attempts, lasting=timedelta(minutes=settings().lockout_minutes)
    )
    with transaction() as session:
        sessions.count_wrong(session, username=username, address=address_of(request), lockout=lockout)
    refuse(request, problem, username=_audited_name(username))


def end_session_before(request: Request) -> None:
    """The session this browser had has ended: it goes on with another token, whoever set that one."""
    token = request.cookies.get(SESSION_COOKIE)
    if token:
        with transaction() as session:
            sessions.end_session_of(session, token=token)


def _audited_name(username: str) -> str:
    """The name if there is such a user; anything else may be a password typed into the wrong field."""
    with transaction() as session:
        known = is_username(session, username=username)
    return username.strip().lower() if known else "(unknown)"


def sign_out(*, by: Actor) -> None:
    """The caller's session has ended; give the response to `clear_session_cookie`."""
    with transaction() as session:
        sessions.sign_out(session, by=by)


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


def set_waiting_cookie(response: Response, token: str) -> None:
    """The browser may be asked for the code for five minutes."""
    response.set_cookie(
        WAITING_COOKIE,
        token,
        max_age=_WAITING_SECONDS,
        httponly=True,
        samesite="lax",
        secure=not settings().insecure_cookies,
        path="/sign-in",
    )


def clear_waiting_cookie(response: Response) -> None:
    """The browser forgets that it was asked for a code."""
    response.delete_cookie(
        WAITING_COOKIE, httponly=True, samesite="lax", secure=not settings().insecure_cookies, path="/sign-in"
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
