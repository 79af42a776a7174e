"""A bundle for use elsewhere: asked for, made and checked by the training worker, kept as a zip."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, jobs
from app.domain.roles import SYSTEM, Actor
from app.errors import NotFound, Unprocessable
from app.records import Bundle, BundleExport
from app.settings import settings

KIND = "export"
FORMATS = ("onnx", "openvino", "torch", "coreml")


def ask(session: Session, *, sha256: str, format: str, by: Actor) -> tuple[UUID, UUID]:
    """The training worker will make it. Returns the ids of the export and the job; the same wish while it
    waits or runs is the first one. Ring `queue.LEARN` with the job after the commit.

    Raises NotFound for no bundle of ours, Unprocessable for a format that is none.
    """
    if session.get(Bundle, sha256) is None:
        raise NotFound("There is no such bundle.")
    if format not in FORMATS:
        raise Unprocessable("A bundle is exported as onnx, openvino, torch or coreml.")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('exports', 0))"))
    same = jobs.at_work(
        session, BundleExport, BundleExport.bundle_sha256 == sha256, BundleExport.format == format
    )
    if same is not None:
        return same
    export = BundleExport(id=uuid4(), bundle_sha256=sha256, format=format, asked_by_name=by.name)
    session.add(export)
    session.flush()
    audit.record(session, action="bundle.export-asked", by=by, subject_id=sha256, format=format)
    return export.id, jobs.ask(session, kind=KIND, subject_id=export.id, by=by)


def fetch(session: Session, *, sha256: str, export_id: UUID, by: Actor) -> tuple[str, str]:
    """Somebody takes the zip, which is on record. Returns its sha256 and a name for it.

    Raises NotFound where there is none, or not yet.
    """
    export = session.get(BundleExport, export_id)
    if export is None or export.sha256 is None or export.bundle_sha256 != sha256:
        raise NotFound("There is no such export, or it is not made yet.")
    audit.record(session, action="bundle.export-fetched", by=by, subject_id=sha256, format=export.format)
    bundle = session.get_one(Bundle, sha256)
    return export.sha256, f"{bundle.name}-{bundle.version}-{export.format}.zip"


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """What the child is told."""
    export = session.get_one(BundleExport, subject_id)
    return {
        "bundle": str(blobs.path(export.bundle_sha256)),
        "format": export.format,
        "blobs": str(settings().blob_folder),
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
    """The zip, which is a blob by now, is the export's."""
    export = session.get_one(BundleExport, subject_id)
    blobs.path(answer["sha256"])
    export.sha256, export.byte_size = answer["sha256"], answer["byte_size"]
    export.agreement = answer["agreement"]
    audit.record(
        session, action="bundle.exported", by=SYSTEM, subject_id=export.bundle_sha256, format=export.format
    )


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """Nothing came of it; the job says why."""
