"""Snapshots: frozen labelled images, their manifests, and exports without patients."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from app import queue
from app.commands import deidentified, snapshots
from app.domain.roles import Caller, Permission
from app.queries import snapshots as queries
from app.records.engine import transaction
from app.told import told
from app.web.api.jobs import Job, as_model
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of
from app.web.parts import parts_of

router = APIRouter(prefix="/api/v1/snapshots", route_class=GuardedRoute, tags=["training"])

_Trainer = Annotated[Caller, require(Permission.TRAIN)]
_TrainerAndReader = Annotated[Caller, require(Permission.TRAIN, also=Permission.READ)]


class ToTake(Input):
    """What a snapshot is taken of."""

    name: str = Field(description="1 to 100 characters.")
    datasets: list[UUID] = Field(default=[], description="Ids of datasets that are ready.")
    reviews: bool = Field(default=True, description="Take what reviews of studies say, too.")


class ToExport(Input):
    """How a snapshot is exported without its patients."""

    dates: str = Field(default="removed", description="removed, or shifted by as many days for a patient")
    burned_in: str = Field(default="left-out", description="left-out or masked: images that show letters")


class LockedTest(BaseModel):
    """The rows by which networks are judged."""

    sha256: str
    uses: int
    limit: int
    exhausted: bool = Field(description="It needs a snapshot with new patients.")


class Counts(BaseModel):
    """What a snapshot holds."""

    images: int
    splits: dict[str, dict[str, int]] = Field(description="Images by split and label.")
    patients: dict[str, int] = Field(description="By split.")
    sources: dict[str, dict[str, int]] = Field(description="Images by split and source.")
    reviewers: dict[str, int]
    blind: int
    left_out: list[str] = Field(description="What was left out and why, in sentences.")


class Snapshot(Counts):
    """A frozen set of labelled images."""

    id: UUID
    name: str
    sha256: str = Field(description="Of the manifest.")
    findings: list[str]
    test_sha256: str | None
    datasets: list[str]
    created_at: datetime
    created_by: str
    page_url: str


class WholeSnapshot(Snapshot):
    """With its locked test."""

    test: LockedTest | None


class Export(BaseModel):
    """An export without patients."""

    id: UUID
    job: Job | None
    images: int | None = Field(description="None until it is made.")
    byte_size: int | None
    left_out: list[str]
    url: str = Field(description="Where the zip is, once it is made.")


@router.get("", summary="All snapshots", responses=problems_of(401, 403))
def list_snapshots(caller: _Trainer) -> list[Snapshot]:  # noqa: ARG001
    """The newest first."""
    with transaction() as session:
        return [Snapshot.model_validate(_listed(one)) for one in queries.snapshots(session)]


@router.post("", status_code=201, summary="Take a snapshot", responses=problems_of(401, 403, 404, 422))
def take(new: ToTake, request: Request, response: Response, caller: _Trainer) -> WholeSnapshot:
    """The same content again is the snapshot there is, answered with 200."""
    with transaction() as session:
        taken = snapshots.take(
            session,
            blobs=parts_of(request).blobs,
            name=new.name,
            datasets=new.datasets,
            reviews=new.reviews,
            by=caller.actor,
        )
        found = _whole(queries.snapshot(session, snapshot_id=taken.id))
    if not taken.created:
        response.status_code = 200
    return found


@router.post("/preview", summary="What a snapshot would hold", responses=problems_of(401, 403, 404, 422))
def preview(new: ToTake, request: Request, caller: _Trainer) -> Counts:  # noqa: ARG001
    """Nothing is changed."""
    with transaction() as session:
        held = snapshots.preview(
            session, blobs=parts_of(request).blobs, datasets=new.datasets, reviews=new.reviews
        )
    return Counts.model_validate(vars(held) | {"left_out": [told(line) for line in held.left_out]})


@router.get("/{snapshot_id}", summary="One snapshot", responses=problems_of(401, 403, 404))
def get_snapshot(snapshot_id: UUID, caller: _Trainer) -> WholeSnapshot:  # noqa: ARG001
    """What it holds, what was left out, and how often its locked test was used."""
    with transaction() as session:
        return _whole(queries.snapshot(session, snapshot_id=snapshot_id))


@router.get(
    "/{snapshot_id}/manifest",
    summary="The manifest, as CSV",
    response_class=FileResponse,
    responses=problems_of(401, 403, 404),
)
def get_manifest(snapshot_id: UUID, request: Request, caller: _TrainerAndReader) -> FileResponse:
    """A line for each image. It names patients by their keys: an API key needs the scopes training and read,
    and taking it is on record.
    """
    with transaction() as session:
        sha256, name = snapshots.fetch_manifest(session, snapshot_id=snapshot_id, by=caller.actor)
    path = parts_of(request).blobs.path(sha256)
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=f"{name}.csv")


@router.post(
    "/{snapshot_id}/exports",
    status_code=202,
    summary="Export without patients",
    responses=problems_of(401, 403, 404, 422),
)
def ask_export(snapshot_id: UUID, how: ToExport, caller: _Trainer) -> Export:
    """The training worker makes it, by the basic profile of DICOM PS3.15 annex E; ask for its job. The same
    again, while it waits or runs, is the first one.
    """
    with transaction() as session:
        export_id, job_id = deidentified.ask(
            session, snapshot_id=snapshot_id, dates=how.dates, burned_in=how.burned_in, by=caller.actor
        )
        found = _export(snapshot_id, queries.export(session, export_id=export_id))
    queue.ring(queue.LEARN, str(job_id))
    return found


@router.get(
    "/{snapshot_id}/exports/{export_id}",
    summary="The zip without patients",
    response_class=FileResponse,
    responses=problems_of(401, 403, 404),
)
def get_export(
    snapshot_id: UUID,
    export_id: UUID,
    request: Request,
    caller: _Trainer,
) -> FileResponse:
    """404 until it is made. Taking it is on record."""
    with transaction() as session:
        sha256, name = deidentified.fetch(
            session, snapshot_id=snapshot_id, export_id=export_id, by=caller.actor
        )
    path = parts_of(request).blobs.path(sha256)
    return FileResponse(path, media_type="application/zip", filename=f"{name}.zip")


def _listed(one: queries.SnapshotListed) -> dict[str, object]:
    said = [told(line) for line in one.counts["left_out"]]
    return vars(one) | one.counts | {"left_out": said, "page_url": f"/training/snapshots/{one.id}"}


def _whole(one: queries.SnapshotShown) -> WholeSnapshot:
    test = one.test and LockedTest(
        sha256=one.test.sha256, uses=one.test.uses, limit=one.test.limit, exhausted=one.test.exhausted
    )
    return WholeSnapshot.model_validate(_listed(one) | {"test": test})


def _export(snapshot_id: UUID, one: queries.ExportShown) -> Export:
    return Export(
        id=one.id,
        job=as_model(one.job) if one.job else None,
        images=one.images,
        byte_size=one.byte_size,
        left_out=[told(line) for line in one.left_out],
        url=f"/api/v1/snapshots/{snapshot_id}/exports/{one.id}",
    )
