"""Which language a request is answered in.

A person's own choice, else the one chosen on the sign-in page, else what the browser asks for, else the
site's. Machines are answered in English always: whoever sends a key, and
all of DICOMweb.
"""

from __future__ import annotations

from fastapi import Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from app import language
from app.domain.roles import Caller
from app.settings import settings

LANGUAGE_COOKIE = "firstread_language"
_MACHINES = ("/dicomweb", "/metrics", "/openapi.json")
_YEAR = 365 * 24 * 3600


class Languages:
    """The language of each request before anybody knows who sends it. Pure ASGI: threads and streams too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            language.speak(_before_sign_in(scope["path"], Headers(scope=scope)))
        await self._app(scope, receive, send)


def _before_sign_in(path: str, headers: Headers) -> str:
    if "authorization" in headers or path.startswith(_MACHINES):
        return language.SOURCE
    known = language.languages()
    chosen = _cookie(headers.get("cookie", ""))
    if chosen in known:
        return chosen
    if path.startswith("/api/") and "cookie" not in headers:
        return language.SOURCE
    return language.asked_for(headers.get("accept-language", "")) or settings().language


def _cookie(header: str) -> str:
    return cookie_parser(header).get(LANGUAGE_COOKIE, "")


def speak_to(caller: Caller, path: str) -> None:
    """From here on the request is answered in the caller's own language, where they have chosen one."""
    if caller.actor.kind != "user" or path.startswith(_MACHINES):
        language.speak(language.SOURCE)
    elif caller.language in language.languages():
        language.speak(caller.language)


def remember(response: Response, chosen: str) -> None:
    """The browser asks for the language from now on, also before anybody has signed in; '' forgets it."""
    options = {"httponly": True, "samesite": "lax", "secure": not settings().insecure_cookies, "path": "/"}
    if chosen:
        response.set_cookie(LANGUAGE_COOKIE, chosen, max_age=_YEAR, **options)  # type: ignore[arg-type]
    else:
        response.delete_cookie(LANGUAGE_COOKIE, **options)  # type: ignore[arg-type]
