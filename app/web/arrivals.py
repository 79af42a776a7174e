"""Where the traces of images begin: at the request that brought them, once it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app import tracing
from app.commands.intake import Admission
from app.web.problems import request_id_of, route_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What a request brought that is admitted now; times are as by `tracing.now`."""

    via: str
    images: Sequence[tuple[Admission, int]]
    """Each with its size in bytes."""
    received: int
    """The body was there, and the request had its turn."""
    read: int
    committed: int
    rung: int


def note(request: Request, arrived: Arrived) -> None:
    """The log knows which request brought which image, and so will the traces."""
    request_id = request_id_of(request)
    for admission, size in arrived.images:
        _log.info(
            "image_admitted",
            request_id=request_id,
            study=str(admission.study_id),
            image=str(admission.image_id),
            via=arrived.via,
            bytes=size,
            is_new=admission.created,
            **tracing.found_by(admission.image_id),
        )
    request.state.arrived = arrived


async def tell(request: Request, *, began: int, status: int) -> None:
    """The traces of the images that the request brought have their beginning; it has just been answered."""
    arrived: Arrived | None = getattr(request.state, "arrived", None)
    if arrived is not None and tracing.is_on():
        await run_in_threadpool(_tell, request, arrived, began=began, status=status)  # it may be thousands


def _tell(request: Request, arrived: Arrived, *, began: int, status: int) -> None:
    parts = tracing.at_door(
        began=began,
        received=arrived.received,
        read=arrived.read,
        committed=arrived.committed,
        rung=arrived.rung,
    )
    route, ended = route_of(request), tracing.now()
    for admission, size in arrived.images:
        if not admission.created:  # the trace of these bytes began when they came first
            continue
        facts: dict[str, tracing.Fact] = {
            "http.request.method": request.method,
            "http.route": route,
            "http.response.status_code": status,
            "via": arrived.via,
            "study": str(admission.study_id),
            "bytes": size,
            "images": len(arrived.images),
            "request": request_id_of(request) or "",
        }
        tracing.tell_arrival(
            admission.image_id,
            door=f"{request.method} {route}",
            step=(began, ended),
            parts=parts,
            facts=facts,
        )
