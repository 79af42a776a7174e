"""The description of the interface: problems of every route, /openapi.json and /docs without a CDN."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, JSONResponse

from app.errors import NotFound
from app.web.auth import GuardedRoute, anyone
from app.web.problems import PROBLEM_JSON, known_problems
from app.web.static import static_url
from app.web.upload import FORM

TAGS = [
    {"name": "studies", "description": "Send radiographs, look studies up."},
    {"name": "review", "description": "Claim, sign, amend."},
    {"name": "second opinions", "description": "Ask a colleague; settle what readers disagree on."},
    {"name": "images", "description": "Pictures at full depth or as previews."},
    {"name": "live", "description": "What happens, as it happens."},
    {"name": "results", "description": "Where finished readings are sent, and what became of each message."},
    {"name": "network", "description": "The bundles that read."},
    {"name": "training", "description": "Datasets, snapshots, training runs, and how far their work is."},
    {"name": "STOW-RS", "description": "DICOMweb: store (PS3.18 10.5)."},
    {"name": "QIDO-RS", "description": "DICOMweb: search (PS3.18 10.6)."},
    {"name": "WADO-RS", "description": "DICOMweb: retrieve (PS3.18 10.4)."},
    {"name": "operations", "description": "Health and metrics."},
]
_TITLES = {
    400: "The request cannot be understood.",
    401: "No valid key or session.",
    403: "The roles or scopes do not include this.",
    404: "There is no such thing.",
    406: "No acceptable representation.",
    409: "What was asked contradicts what has happened since.",
    413: "The body is too large.",
    415: "The media type is none this address takes.",
    416: "The range is not there.",
    422: "A value is not allowed; the detail says which and why.",
    429: "Too many requests; Retry-After says when it may work.",
    503: "The database or the disk cannot do this right now; nothing was accepted.",
}


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(description="Stable; explained at this address.", examples=["/problems/not-found"])
    title: str
    status: int
    detail: str = Field(description="What was wrong, and what to send instead.")
    retry: bool | None = Field(default=None, description="True where the same request may work later.")
    request_id: str | None = Field(default=None, description="Finds the request in the log.")


def form_of(required: str, **fields: Any) -> dict[str, Any]:
    """The body of a route that reads a form with files by itself: JSON schemas of its fields."""
    schema = {"type": "object", "required": [required], "properties": fields}
    return {"requestBody": {"required": True, "content": {FORM: {"schema": schema}}}}


def file_of(description: str) -> dict[str, Any]:
    """The JSON schema of a file in a form."""
    return {"type": "string", "format": "binary", "description": description}


def files_of(description: str) -> dict[str, Any]:
    """The JSON schema of one or more files in a form."""
    items = {"type": "string", "format": "binary"}
    return {"type": "array", "minItems": 1, "items": items, "description": description}


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these errors, 400, 422 and 503, all as problem documents."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": _TITLES[status], "content": content}
        for status in sorted({*statuses, 400, 422, 503})
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = ProblemDocument.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key: `fr_...`."},
            "session": {"type": "apiKey", "in": "cookie", "name": "firstread_session"},
        }
        document["security"] = [{"key": []}, {"session": []}]
        app.openapi_schema = document
    return app.openapi_schema


router = APIRouter(route_class=GuardedRoute, include_in_schema=False, dependencies=[])


@router.get("/openapi.json", dependencies=[anyone()])
def openapi(request: Request) -> JSONResponse:
    """The description of every route."""
    return JSONResponse(describe(request.app), headers={"Cache-Control": "no-cache"})


@router.get("/docs", dependencies=[anyone()])
def docs() -> HTMLResponse:
    """The description as a page to try things on; everything it loads is ours."""
    styles = (static_url("swagger/swagger-ui.css"), static_url("swagger/page.css"))
    scripts = (static_url("swagger/swagger-ui-bundle.js"), static_url("swagger/page.js"))
    head = "".join(f'<link rel="stylesheet" href="{style}">' for style in styles)
    body = "".join(f'<script src="{script}"></script>' for script in scripts)
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>FirstRead: the interface</title>'
        f'<link rel="icon" href="{static_url("swagger/favicon-32x32.png")}">{head}</head>'
        f'<body><div id="swagger-ui"></div>{body}</body></html>',
        headers={"Cache-Control": "no-cache"},
    )


class ProblemKind(BaseModel):
    """What a type of problem means."""

    type: str
    title: str
    status: int
    meaning: str
    retry_helps: Annotated[bool, Field(description="True where the same request may work later.")]


@router.get("/problems/{slug}", dependencies=[anyone()])
def problem_kind(slug: str) -> ProblemKind:
    """What the `type` of a problem document means."""
    kind = known_problems().get(slug)
    if kind is None:
        raise NotFound("There is no such type of problem.")
    return ProblemKind(
        type=f"/problems/{slug}",
        title=kind.title,
        status=kind.status,
        meaning=" ".join((kind.__doc__ or "").split()),
        retry_helps=kind.retry_helps,
    )
