"""A snapshot's images without their patients: asked for, made by the training worker, kept as a zip."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, jobs
from app.domain.roles import SYSTEM, Actor
from app.errors import NotFound, Unprocessable
from app.records import SiteChoice, Snapshot, SnapshotExport
from app.settings import settings

KIND = "deidentify"
DATES = ("removed", "shifted")
BURNED_IN = ("left-out", "masked")
_KEY_OF_NAMES = "pseudonym_key"


def ask(session: Session, *, snapshot_id: UUID, dates: str, burned_in: str, by: Actor) -> tuple[UUID, UUID]:
    """The training worker will make it. Returns the export's id and the job's; the same person's same
    wish while it waits or runs is the first one.

    Ring `queue.LEARN` with the job's after the commit. Raises NotFound for no snapshot of ours, Unprocessable
    for an option that is none.
    """
    snapshot = session.get(Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    if dates not in DATES or burned_in not in BURNED_IN:
        raise Unprocessable("Dates can be removed or shifted, images with letters left-out or masked.")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('exports', 0))"))
    same = jobs.at_work(
        session,
        SnapshotExport,
        SnapshotExport.snapshot_id == snapshot_id,
        SnapshotExport.dates == dates,
        SnapshotExport.burned_in == burned_in,
        SnapshotExport.asked_by_name == by.name,
    )
    if same is not None:
        return same
    export = SnapshotExport(
        id=uuid4(), snapshot_id=snapshot_id, dates=dates, burned_in=burned_in, asked_by_name=by.name
    )
    session.add(export)
    session.flush()
    audit.record(
        session,
        action="snapshot.export-asked",
        by=by,
        subject_id=snapshot_id,
        export=str(export.id),
        images=snapshot.images,
        dates=dates,
        burned_in=burned_in,
    )
    return export.id, jobs.ask(session, kind=KIND, subject_id=export.id, by=by)


def fetch(session: Session, *, snapshot_id: UUID, export_id: UUID, by: Actor) -> tuple[str, str]:
    """Somebody takes the zip, which is on record. Returns its sha256 and the snapshot's name.

    Raises NotFound where there is none, or not yet.
    """
    export = session.get(SnapshotExport, export_id)
    if export is None or export.sha256 is None or export.snapshot_id != snapshot_id:
        raise NotFound("There is no such export, or it is not made yet.")
    audit.record(
        session,
        action="snapshot.export-fetched",
        by=by,
        subject_id=export.snapshot_id,
        export=str(export.id),
        images=export.images,
    )
    return export.sha256, session.get_one(Snapshot, export.snapshot_id).name


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """What the child is told; the secret goes to it alone."""
    export = _export(session, subject_id)
    snapshot = session.get_one(Snapshot, export.snapshot_id)
    configured = settings()
    return {
        "manifest": str(blobs.path(snapshot.sha256)),
        "blobs": str(configured.blob_folder),
        "images": snapshot.images,
        "dates": export.dates,
        "burned_in": export.burned_in,
        "secret": _secret(session),
        "decoder_seconds": configured.decoder_timeout,
        "decoder_memory": configured.decoder_memory,
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
    """The zip, which is a blob by now, is the export's."""
    export = _export(session, subject_id)
    blobs.path(answer["sha256"])
    export.sha256, export.byte_size = answer["sha256"], answer["byte_size"]
    export.images, export.left_out = answer["images"], answer["left_out"]
    audit.record(
        session,
        action="snapshot.exported",
        by=SYSTEM,
        subject_id=export.snapshot_id,
        export=str(export.id),
        images=export.images,
        asked_by=export.asked_by_name,
    )


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """Nothing came of it; the job says why."""


def _export(session: Session, export_id: UUID) -> SnapshotExport:
    export = session.get(SnapshotExport, export_id)
    if export is None:
        raise NotFound("There is no such export, or it is not made yet.")
    return export


def _secret(session: Session) -> str:
    """The site's own; made when it is first needed, so that all its exports name a patient alike."""
    made = insert(SiteChoice).values(
        name=_KEY_OF_NAMES, value=secrets.token_hex(32), chosen_by_name=SYSTEM.name
    )
    session.execute(made.on_conflict_do_nothing())
    return str(session.scalar(select(SiteChoice.value).where(SiteChoice.name == _KEY_OF_NAMES)))
