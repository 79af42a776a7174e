"""Signing in at a provider (OpenID Connect): there, back, and out again."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app import language
from app.commands import oidc
from app.commands.oidc import WAY_MINUTES
from app.errors import Conflict, Forbidden, NotFound, NotSignedIn, Problem, TooManyRequests, Unavailable
from app.oidc import Provider
from app.records.engine import transaction
from app.settings import settings
from app.web import sign_in as sessions
from app.web.auth import GuardedRoute, anyone
from app.web.pages.render import page, see
from app.web.parts import parts_of
from app.web.problems import problem_headers, refuse

router = APIRouter(route_class=GuardedRoute)
_BROWSER_COOKIE = "firstread_provider"
"""Ties a sign-in to the browser that began it."""
_LONGEST = 4096


@router.get("/sign-in/provider", dependencies=[anyone()])
async def ask(request: Request, next: str = "/") -> Response:
    """Leads to the provider. A link and no form: `form-action 'self'` lets no form leave the site."""
    return await _apart(request, lambda: _ask(request, next))


def _ask(request: Request, next: str) -> Response:
    provider = _provider(request)
    browser = secrets.token_urlsafe(32)
    try:
        parts_of(request).throttle.to_provider(address=sessions.address_of(request))
        question = provider.ask(redirect_uri=_redirect_uri())
    except (NotSignedIn, Unavailable) as problem:
        return _refused(request, problem)
    except TooManyRequests as problem:
        refuse(request, problem, via="oidc")
        response = _refused(request, problem)
        response.headers.update(problem_headers(problem))
        return response
    with transaction() as session:
        oidc.begin(session, question=question, browser=browser, next=sessions.safe_next(next))
    response = RedirectResponse(question.address, status_code=303)
    response.set_cookie(
        _BROWSER_COOKIE,
        browser,
        max_age=WAY_MINUTES * 60,
        httponly=True,
        samesite="lax",
        secure=not settings().insecure_cookies,
        path="/sign-in/provider",
    )
    return response


@router.get("/sign-in/provider/back", dependencies=[anyone()])
async def back(request: Request, state: str = "", code: str = "", error: str = "", iss: str = "") -> Response:
    """Where the provider leads back to: opens a session for who it says it is."""
    return await _apart(request, lambda: _back(request, state=state, code=code, error=error, iss=iss))


def _back(request: Request, *, state: str, code: str, error: str, iss: str) -> Response:
    provider = _provider(request)
    try:
        with transaction() as session:
            begun = oidc.take(session, state=state[:_LONGEST], browser=request.cookies.get(_BROWSER_COOKIE))
        if error or not code or len(code) > _LONGEST or (iss and iss != provider.issuer):
            raise NotSignedIn("The provider did not sign you in.")
        identity = provider.identify(
            code=code, redirect_uri=_redirect_uri(), nonce=begun.nonce, code_verifier=begun.code_verifier
        )
        with transaction() as session:
            signed = oidc.sign_in(
                session,
                identity=identity,
                roles=provider.roles(identity),
                address=sessions.address_of(request),
                lifetime=sessions.lifetime(),
            )
        if signed is None:
            raise Forbidden("None of your groups at the provider gives you a role here.")
    except (NotSignedIn, Forbidden, Conflict, Unavailable) as problem:
        if not isinstance(problem, Unavailable):
            refuse(request, problem, via="oidc")
        return _refused(request, problem)
    sessions.end_session_before(request)
    response = see(begun.next)
    sessions.set_session_cookie(response, signed.token)
    response.delete_cookie(_BROWSER_COOKIE, path="/sign-in/provider")
    return response


@router.get("/signed-out", dependencies=[anyone()])
async def signed_out(request: Request) -> Response:
    """After signing out here: leads to the provider, which ends its session too. On a shared machine the next
    person would otherwise be signed in as the last one.

    A page between, since no answer to a form may lead to another site.
    """
    return await _apart(request, lambda: _signed_out(request))


def _signed_out(request: Request) -> Response:
    provider = parts_of(request).provider
    address = provider.sign_out_address(back_to=f"{_base()}/sign-in") if provider else None
    if address is None:
        return see("/sign-in")
    response = page(request, "signed_out.html", address=address, provider=settings().oidc_name)
    response.headers["Refresh"] = f"0; url={address}"
    return response


async def _apart(request: Request, answer: Callable[[], Response]) -> Response:
    """The answer, made in one of few threads: those of all other requests never wait for the provider."""
    return await to_thread.run_sync(answer, limiter=parts_of(request).at_provider)


def _provider(request: Request) -> Provider:
    provider = parts_of(request).provider
    if provider is None:
        raise NotFound("There is nothing at this address.")
    return provider


def _refused(request: Request, problem: Problem) -> Response:
    return page(
        request,
        "sign_in.html",
        status=problem.status,
        languages=language.languages(),
        provider=settings().oidc_name,
        next="/",
        username="",
        problem=problem,
        ended=False,
    )


def _redirect_uri() -> str:
    return f"{_base()}/sign-in/provider/back"


def _base() -> str:
    return (settings().public_url or "").rstrip("/")
