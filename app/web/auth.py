"""Who is calling, and whether they may: every route declares its rule; one without cannot be built.

A rule is checked before the body is read. `GuardedRoute` does that; use it as the `route_class` of every
router.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from app.commands import keys, sessions
from app.domain.roles import Caller, Permission
from app.errors import Forbidden, NotSignedIn
from app.records.engine import single_statements, transaction
from app.settings import settings
from app.web.languages import speak_to
from app.web.parts import parts_of
from app.web.problems import CrossSite, PasswordChangeRequired, SecondFactorRequired, is_upload, refuse

SESSION_COOKIE = "firstread_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Rule:
    """Who may use a route; as a dependency it gives the route its caller."""

    def __init__(
        self,
        *permissions: Permission,
        also: Permission | None = None,
        anyone: bool = False,
        with_one_time_password: bool = False,
        without_second_factor: bool = False,
        counts_as_activity: bool = True,
    ) -> None:
        self.permissions = permissions
        """Any one of these; none of them means whoever is signed in."""
        self.also = also
        """And this one, whichever of them it is."""
        self.anyone = anyone
        self.with_one_time_password = with_one_time_password
        self.without_second_factor = without_second_factor
        self.counts_as_activity = counts_as_activity

    def allows(self, permissions: frozenset[Permission]) -> bool:
        """True where a caller with these permissions may use the route."""
        if self.also is not None and self.also not in permissions:
            return False
        return self.anyone or not self.permissions or any(p in permissions for p in self.permissions)

    async def enforce(self, request: Request) -> None:
        """Leaves the caller in `request.state.caller`, or raises NotSignedIn, Forbidden or CrossSite."""
        unsafe = request.method not in _SAFE_METHODS
        if self.anyone:
            request.state.caller = None
            if unsafe and "authorization" not in request.headers:
                _check_origin(request)
            return
        caller = await run_in_threadpool(identify, request, counts_as_activity=self.counts_as_activity)
        if caller is None:
            raise NotSignedIn("Sign in, or send an API key as `Authorization: Bearer fr_...`.")
        request.state.caller = caller
        speak_to(caller, request.url.path)
        if unsafe and caller.csrf_token is not None:
            _check_origin(request)
            await _check_token(request, caller.csrf_token)
        if caller.must_change_password and not self.with_one_time_password:
            raise PasswordChangeRequired(
                "You signed in with a one-time password. Choose a password of your own first."
            )
        if caller.must_enrol and not (self.with_one_time_password or self.without_second_factor):
            raise SecondFactorRequired("Your roles need a second factor. Set one up first.")
        if not self.allows(caller.actor.permissions):
            raise Forbidden(
                "Your roles do not include this."
                if caller.actor.kind == "user"
                else "The API key's scopes do not include this. Make a key with the scope it needs."
            )

    async def __call__(self, request: Request) -> Caller | None:
        """The caller; None only on routes for anyone."""
        if not hasattr(request.state, "caller"):
            await self.enforce(request)
        caller: Caller | None = request.state.caller
        return caller


def require(*permissions: Permission, **options: Any) -> Any:
    """For `Annotated[Caller, require(Permission.READ)]`: only callers with one of these permissions."""
    return Depends(Rule(*permissions, **options))


def signed_in(**options: Any) -> Any:
    """For `Annotated[Caller, signed_in()]`: whoever is signed in or has a key."""
    return Depends(Rule(**options))


def anyone() -> Any:
    """For `dependencies=[anyone()]`: no caller is asked for, and the database is not needed."""
    return Depends(Rule(anyone=True))


class RouteWithoutRule(TypeError):
    """A route was declared without saying who may use it, or saying it twice."""


def rule_of(dependant: Dependant) -> Rule:
    """The one rule among the route's dependencies; raises RouteWithoutRule."""
    rules = [child.call for child in dependant.dependencies if isinstance(child.call, Rule)]
    if len(rules) != 1:
        raise RouteWithoutRule(f"{dependant.path} declares {len(rules)} rules; it must declare one")
    return rules[0]


class GuardedRoute(APIRoute):
    """A route whose rule is checked before anything of the request is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the rule."""
        handle = super().get_route_handler()
        rule = rule_of(self.dependant)

        async def guarded(request: Request) -> Response:
            await rule.enforce(request)
            # nobody who is not known, and no body that takes its time, keeps senders waiting
            uploads = request.method == "POST" and is_upload(request.url.path)
            reads = not rule.anyone and not uploads
            with parts_of(request).turns.reading() if reads else nullcontext():
                return await handle(request)

        return guarded


def identify(request: Request, *, counts_as_activity: bool = True) -> Caller | None:
    """Whoever the key or the session cookie belongs to; None without either or with an ended session.

    Raises NotSignedIn for a key that opens nothing: a sender must not believe that it was let in by a cookie.
    """
    address = request.client.host if request.client else None
    authorization = request.headers.get("authorization")
    if authorization is not None:
        secret = _secret_in(authorization)
        try:
            with single_statements() as connection:
                caller = keys.caller_of_key(connection, secret=secret, address=address) if secret else None
        except keys.OutsideRange as refused:
            problem = NotSignedIn("The API key is not known, has expired or was revoked.")
            refuse(request, problem, key=refused.name, outside_its_ranges=True)
            raise problem from None
        if caller is None:
            raise NotSignedIn("The API key is not known, has expired or was revoked.")
        return caller
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    idle = timedelta(minutes=settings().session_idle_minutes)
    with transaction() as session:
        return sessions.caller_of_session(
            session, token=token, address=address, idle=idle, counts_as_activity=counts_as_activity
        )


def _secret_in(authorization: str) -> str | None:
    """The key of a Bearer header, or the password of a Basic one: some archives can only send that."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _check_origin(request: Request) -> None:
    """Refuses what a browser sent on behalf of another site."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise CrossSite("The request came from another site. Use the pages of this service.")
    origin = request.headers.get("origin")
    if origin is None:
        return
    own = {request.headers.get("host", "")}
    if settings().public_url:
        own.add(urlsplit(settings().public_url or "").netloc)
    try:
        site = urlsplit(origin).netloc
    except ValueError:  # half an IPv6 address
        site = None
    if site not in own:
        raise CrossSite("The request came from another site. Use the pages of this service.")


async def _check_token(request: Request, expected: str) -> None:
    """Refuses a session's request without the token that only our pages know."""
    given = request.headers.get(CSRF_HEADER)
    # Uploads send the header: a form of their size would be in memory before anybody knew whose it is.
    if given is None and _is_form(request) and not is_upload(request.url.path):
        field = (await request.form()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
        raise CrossSite("The page you came from is out of date. Load it again and repeat what you did.")


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"
