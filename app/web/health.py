"""Whether the service lives, what of it is broken, and what it counts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from app.domain.roles import Caller, Permission
from app.queries import audit_sealing, backups, operations
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, anyone, require
from app.web.gauges import ServiceGauges
from app.web.metrics import exposition
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.problems import RETRY_AFTER_SECONDS
from app.web.readiness import Readiness

router = APIRouter(route_class=GuardedRoute, tags=["operations"])
_OPEN: dict[str, Any] = {"security": []}


class Health(BaseModel):
    """The process answers."""

    status: str


@router.get(
    "/healthz",
    dependencies=[anyone()],
    summary="The process answers",
    openapi_extra=_OPEN,
    tags=["operations"],
)
async def healthz() -> Health:
    """Asks nobody else, so that a silent database restarts no web server."""
    return Health(status="alive")


@router.get(
    "/readyz",
    dependencies=[anyone()],
    summary="What is broken, in words",
    openapi_extra=_OPEN,
    responses={503: {"model": Readiness, "description": "Studies cannot be taken at the moment."}},
)
async def readyz(request: Request) -> Response:
    """503 where studies cannot be taken; a silent broker or a late worker only delays them.

    It is looked at once a second by each process, however many ask.
    """
    found = await parts_of(request).readiness.latest()
    if found.ready:
        return JSONResponse(found.model_dump())
    return JSONResponse(
        found.model_dump(), status_code=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problems_of(401, 403)},
)
def metrics(_caller: Annotated[Caller, require(Permission.READ_OPERATIONS)]) -> Response:
    """Requests of the web processes that count together, and the state of the whole service."""
    with transaction() as session:
        gauges = ServiceGauges(
            operations.backlog(session),
            unsealed_seconds=audit_sealing.unsealed_seconds(session),
            unsent_seconds=audit_sealing.unsent_seconds(session, settings()),
            backups=backups.backups(session),
        )
    lines = exposition() + generate_latest(gauges)
    return Response(lines, headers={"Content-Type": CONTENT_TYPE_LATEST})
