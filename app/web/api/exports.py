"""Bundles for use elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse

from app import queue
from app.commands import exporting
from app.domain.roles import Caller, Permission
from app.queries.exports import ExportShown, exports_of
from app.records.engine import transaction
from app.told import told
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of
from app.web.parts import parts_of

router = APIRouter(prefix="/api/v1/models/{sha256}/exports", route_class=GuardedRoute, tags=["network"])
_Trainer = Annotated[Caller, require(Permission.TRAIN)]


class BundleExport(BaseModel):
    """One export of a bundle."""

    id: UUID
    format: str
    asked_at: datetime
    asked_by: str
    job_id: UUID | None = Field(description="Of /api/v1/jobs.")
    state: str | None
    said: str | None = Field(description="Why it was not made.")
    byte_size: int | None = Field(description="Of the zip; null until it is made.")
    agreement: dict[str, Any] | None = Field(description="How far it is from the bundle at most.")


class ToExport(Input):
    """As what."""

    format: Literal["onnx", "openvino", "torch", "coreml"]


@router.get("", summary="Exports of a bundle", responses=problems_of(401, 403, 404))
def get_exports(sha256: str, _caller: _Trainer) -> list[BundleExport]:
    """The newest first."""
    with transaction() as session:
        return [_told(one) for one in exports_of(session, sha256=sha256).exports]


@router.post("", status_code=202, summary="Export a bundle", responses=problems_of(401, 403, 404, 422))
def post_export(sha256: str, how: ToExport, caller: _Trainer) -> BundleExport:
    """The training worker makes it and compares it with the bundle; ask for its job."""
    with transaction() as session:
        export_id, job_id = exporting.ask(session, sha256=sha256, format=how.format, by=caller.actor)
        made = next(one for one in exports_of(session, sha256=sha256).exports if one.id == export_id)
    queue.ring(queue.LEARN, str(job_id))
    return _told(made)


@router.get(
    "/{export_id}",
    summary="The zip of an export",
    response_class=FileResponse,
    responses=problems_of(401, 403, 404),
)
def get_export(sha256: str, export_id: UUID, request: Request, caller: _Trainer) -> FileResponse:
    """404 until it is made. Taking it is on record."""
    with transaction() as session:
        zipped, name = exporting.fetch(session, sha256=sha256, export_id=export_id, by=caller.actor)
    return FileResponse(parts_of(request).blobs.path(zipped), media_type="application/zip", filename=name)


def _told(one: ExportShown) -> BundleExport:
    return BundleExport(
        id=one.id,
        format=one.format,
        asked_at=one.asked_at,
        asked_by=one.asked_by,
        job_id=one.job.id if one.job else None,
        state=one.job.state if one.job else None,
        said=told(one.job.said) if one.job and one.job.said else None,
        byte_size=one.byte_size,
        agreement=one.agreement,
    )
