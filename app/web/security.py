"""What every response carries and every request keeps to: headers, request ids, sizes, a line of log.

Pure ASGI and outermost, so that also an error nobody foresaw leaves as a problem, with the same headers, and
without a word of its insides.
"""

from __future__ import annotations

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import tracing
from app.errors import BadRequest, Problem, TooLarge, TooSlow, frames_of
from app.settings import settings
from app.web import arrivals
from app.web.metrics import in_flight, observe
from app.web.problems import answer, is_upload, route_of

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms, and the origin check needs it.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_REQUEST_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
"""A UUID, with or without dashes, as proxies give. Another id of the caller's may be anything, such as a
patient's, and is not taken: logs and traces have this one.
"""
SMALL_BODY = 1024**2
"""Bytes of a request that uploads nothing."""
PATIENCE_SECONDS = 60.0
"""For the next bytes of a body: whoever is gone keeps neither a place nor what was received."""
_SLOWEST = 1024
"""Bytes a second of an upload, beyond those seconds; whatever else is sent comes whole within them."""

_log = structlog.get_logger("app.web.access")


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope["firstread.request_id"] = request_id
        status = 0
        started, began = time.perf_counter(), tracing.now()

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(raw=message["headers"]), request_id=request_id)
                message["headers"] = list(message["headers"])
            await send(message)

        request = Request(scope, receive)
        try:
            with in_flight():
                _check_address(scope)
                await self._app(scope, _limited(receive, scope, headers), send_guarded)
        except ClientDisconnect:
            status = 499
        except Problem as problem:
            if status:
                raise
            await answer(request, problem)(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001  (the outermost layer: whatever it is, the caller gets a problem)
            _log.error("unexpected", request_id=request_id, error=type(error).__name__, at=frames_of(error))
            if not status:
                broken = Problem("Something broke on our side; it has been logged.")
                await answer(request, broken)(scope, receive, send_guarded)
        finally:
            seconds = time.perf_counter() - started
            _note(request, status=status, seconds=seconds, request_id=request_id)
            await arrivals.tell(request, began=began, status=status)


def _complete(headers: MutableHeaders, *, request_id: str) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Request-ID"] = request_id
    if not settings().insecure_cookies:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def on_every_answer() -> dict[str, str]:
    """What every answer has, for one that is given before the application hears of its request."""
    headers = MutableHeaders()
    _complete(headers, request_id=uuid4().hex)
    return dict(headers)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _check_address(scope: Scope) -> None:
    """NUL is in no name and no UID, and PostgreSQL refuses it."""
    if b"%00" in scope.get("query_string", b"") or "\0" in scope["path"]:
        raise BadRequest("The address holds a NUL character.")


def _limited(receive: Receive, scope: Scope, headers: Headers) -> Receive:
    """The body, until it turns out to be longer than it may be or nothing more of it comes; refused unread
    where it says so itself.

    That is when a route first asks for it, so after the caller's rule and with the refusal's audit row.
    """
    uploads = scope["method"] == "POST" and is_upload(scope["path"])
    limit = settings().max_upload_bytes if uploads else SMALL_BODY
    length = headers.get("content-length", "0")
    seen, whole, waited = 0, False, 0.0

    async def receive_limited() -> Message:
        nonlocal seen, whole, waited
        if seen == 0 and (len(length) > 18 or not length.isdecimal() or int(length) > limit):
            raise _too_large(limit)
        try:
            # once the body is there, what comes next is the end of the connection, whenever that is
            patience = PATIENCE_SECONDS + (seen / _SLOWEST if uploads else 0.0) - waited
            began = time.monotonic()
            async with asyncio.timeout(None if whole else min(PATIENCE_SECONDS, patience)):
                message = await receive()
            waited += time.monotonic() - began  # not what we did with it meanwhile
        except TimeoutError:
            if patience < PATIENCE_SECONDS:
                raise TooSlow(
                    "The request came too slowly, and nothing of it was kept. Send it again."
                ) from None
            raise TooSlow(
                f"Nothing of the request came for {PATIENCE_SECONDS:g} seconds, and nothing of it was kept. "
                "Send it again."
            ) from None
        whole = not message.get("more_body", False)
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
        return message

    return receive_limited


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"A request to this address may have at most {limit:,} bytes. Send less at a time.")


def _note(request: Request, *, status: int, seconds: float, request_id: str) -> None:
    route = route_of(request)
    caller = getattr(request.state, "caller", None)
    observe(method=request.method, route=route, status=status, seconds=seconds)
    _log.info(
        "request",
        request_id=request_id,
        method=request.method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        caller=caller.actor.kind if caller else None,
        problem=getattr(request.state, "problem", None),
    )
