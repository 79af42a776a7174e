"""Errors over HTTP: RFC 9457 problem documents for machines, pages for people."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    NotSignedIn,
    Problem,
    TooManyRequests,
    Unavailable,
)
from app.told import told
from app.web.invalid import problem_of_validation
from app.web.languages import speak_to

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_AUDITED = frozenset({401, 403, 429})

_log = structlog.get_logger(__name__)


class PasswordChangeRequired(Forbidden):
    """The caller signed in with a one-time password and must choose their own before anything else."""

    slug = "password-change-required"
    title = sentence("Choose a password first")


class SecondFactorRequired(Forbidden):
    """A role of the caller needs a second factor, which they must set up before anything else."""

    slug = "second-factor-required"
    title = sentence("Set up a second factor first")


class CrossSite(Forbidden):
    """A browser sent the request from another site, or without the token of its session."""

    slug = "cross-site-request"
    title = sentence("The request did not come from one of our pages")


class MethodNotAllowed(Problem):
    """The address exists and does not take this method; the Allow header lists those it takes."""

    status = 405
    slug = "method-not-allowed"
    title = sentence("Method not allowed")


class LengthRequired(Problem):
    """The request says neither how long it is nor that it comes in chunks."""

    status = 411
    slug = "length-required"
    title = sentence("Length required")


class RangeNotSatisfiable(Problem):
    """The Range header asks for bytes the representation does not have."""

    status = 416
    slug = "range-not-satisfiable"
    title = sentence("Range not satisfiable")


def known_problems() -> dict[str, type[Problem]]:
    """Every problem type by its slug."""
    return {kind.slug: kind for kind in _descend(Problem)}


def _descend(kind: type[Problem]) -> Iterator[type[Problem]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _descend(child)


def document(problem: Problem, *, request_id: str | None = None) -> dict[str, Any]:
    """The problem as RFC 9457 has it, in the language of this request: English for all but people's sessions.

    `request_id` finds the request in the log.
    """
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": told(problem.title),
        "status": problem.status,
        "detail": told(problem.detail),
    }
    if problem.retry_helps:
        body["retry"] = True
    if request_id:
        body["request_id"] = request_id
    return body | problem.extensions


def problem_headers(problem: Problem) -> dict[str, str]:
    """Retry-After where trying again helps, WWW-Authenticate where a key would."""
    headers: dict[str, str] = {}
    if isinstance(problem, TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    elif isinstance(problem, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif isinstance(problem, NotSignedIn):
        headers["WWW-Authenticate"] = 'Bearer realm="FirstRead"'
    elif isinstance(problem, RangeNotSatisfiable) and "size" in problem.extensions:
        headers["Content-Range"] = f"bytes */{problem.extensions['size']}"
    return headers


def problem_json(
    problem: Problem, *, request_id: str | None, headers: dict[str, str] | None = None
) -> Response:
    """The problem document as a response."""
    return Response(
        json.dumps(document(problem, request_id=request_id)),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=problem_headers(problem) | (headers or {}),
    )


def wants_page(request: Request) -> bool:
    """True for a browser on one of our pages; the API and DICOMweb always answer machines."""
    path = request.url.path
    if path.startswith(("/api/", "/dicomweb", "/metrics", "/openapi.json")):
        return False
    return "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers


def answer(request: Request, problem: Problem, *, headers: dict[str, str] | None = None) -> Response:
    """The problem in the form this caller understands; people who must sign in are led to where they can."""
    request.state.problem = problem.slug
    if not wants_page(request):
        return problem_json(problem, request_id=request_id_of(request), headers=headers)
    if isinstance(problem, NotSignedIn) and request.url.path != "/sign-in":
        after = request.url.path if request.method == "GET" else request.app.state.came_from(request)
        return _lead_to(request, f"/sign-in?next={quote(after, safe='/')}")
    if isinstance(problem, MethodNotAllowed) and request.method == "GET":
        return _lead_to(request, request.app.state.page_above(request, request.url.path))
    if isinstance(problem, PasswordChangeRequired):
        return _lead_to(request, "/password")
    if isinstance(problem, SecondFactorRequired):
        return _lead_to(request, "/account/second-factor")
    page = request.app.state.problem_page
    response: Response = page(request, problem=problem, request_id=request_id_of(request))
    response.headers.update(problem_headers(problem) | (headers or {}))
    return response


def _lead_to(request: Request, address: str) -> Response:
    if "hx-request" in request.headers:  # htmx would swap the sign-in page into a corner of this one
        return Response(status_code=401, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)


def request_id_of(request: Request) -> str | None:
    """The id that `app.web.security` gave the request."""
    value = request.scope.get("firstread.request_id")
    return str(value) if value else None


def plain_problem_page(_request: Request, *, problem: Problem, request_id: str | None) -> Response:
    """A problem page without styles: what is shown where the pages' own is missing."""
    title, detail = html.escape(told(problem.title)), told(problem.detail)
    words = "".join(f"<p>{html.escape(text)}</p>" for text in (detail, request_id or "") if text)
    return Response(
        f"<!doctype html><title>{title}</title><h1>{title}</h1>{words}",
        status_code=problem.status,
        media_type="text/html",
    )


def install(app: FastAPI) -> None:
    """Every error of the application leaves it as a problem.

    `app.state` then holds how a problem page is made, and what `app.web.lost` says of people: the caller
    replaces the first, and must add the others.
    """
    app.state.problem_page = plain_problem_page

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        await _audit(request, error)
        return answer(request, error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if wants_page(request) and all(item["loc"][0] == "path" for item in error.errors()):
            return answer(request, NotFound("There is nothing at this address."))
        return answer(request, problem_of_validation(error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, Problem):  # FastAPI hides whatever ends the reading of a body
            return await on_problem(request, error.__cause__)
        if wants_page(request):
            await run_in_threadpool(request.app.state.recognise, request)
            if request.state.caller is not None:
                speak_to(request.state.caller, request.url.path)
        return answer(request, problem_of_http(error), headers=dict(error.headers or {}))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


async def _audit(request: Request, problem: Problem) -> None:
    """Refusals of callers and uploads become audit rows; a page that leads to the sign-in is none."""
    if getattr(request.state, "refused", False) or (isinstance(problem, NotSignedIn) and wants_page(request)):
        return
    upload = request.method == "POST" and is_upload(request.url.path) and 400 <= problem.status < 500
    if problem.status in _AUDITED or upload:
        await run_in_threadpool(refuse, request, problem)


def is_upload(path: str) -> bool:
    """True for the addresses that take radiographs."""
    if path.startswith("/api/v1/datasets/"):
        return path.endswith("/files")
    return path in ("/api/v1/studies", "/api/v1/layers") or path.startswith("/dicomweb/studies")


def refuse(request: Request, problem: Problem, **details: Any) -> None:
    """Writes the refusal in a transaction of its own; a silent database does not change the answer."""
    request.state.refused = True
    caller = getattr(request.state, "caller", None)
    address = request.client.host if request.client else None
    by = caller.actor if caller else Actor(kind="anonymous", id=None, name="anonymous", address=address)
    route = route_of(request)
    try:
        request.app.state.parts.refusals.refuse(by=by, reason=problem.slug, route=route, **details)
    except Unavailable:
        _log.warning("refusal_not_audited", reason=problem.slug, route=route)


def route_of(request: Request) -> str:
    """The route's template, which holds no id and no name; `unrouted` for an address we do not have."""
    route = request.scope.get("route")
    return getattr(route, "path", None) or "unrouted"


def problem_of_http(error: HTTPException) -> Problem:
    """Starlette's own errors (no such route, wrong method, unreadable body) as problems."""
    match error.status_code:
        case 404:
            return NotFound("There is nothing at this address.")
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            said_allowed = allowed or sentence("another method")
            return MethodNotAllowed(f"This address takes {said_allowed}.")
        case 416:
            return RangeNotSatisfiable("The Range header asks for bytes that are not there.")
        case 400:
            return BadRequest("The request cannot be read.")
    if 400 <= error.status_code < 500:
        problem = BadRequest(str(error.detail))
        problem.status = error.status_code  # type: ignore[misc]  # this one instance keeps Starlette's status
        return problem
    return Problem("Something broke on our side; it has been logged.")
