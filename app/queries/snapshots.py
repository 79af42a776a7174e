"""Snapshots as they were taken, their locked tests, and exports without patients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands.locked_test import uses_of
from app.domain.snapshot import SPLITS
from app.errors import NotFound
from app.queries.jobs import JobShown, job_of
from app.records import Dataset, DatasetFile, Review, Snapshot, SnapshotExport
from app.records.review import stands
from app.settings import settings

_MOST = 200
COUNTED = 10_000
"""Pages count reviews and reviewed studies so far; of more they say so."""


@dataclass(frozen=True, kw_only=True)
class LockedTest:
    """The patients by whom networks are judged, and how often they have been."""

    sha256: str
    uses: int
    limit: int

    @property
    def exhausted(self) -> bool:
        """It may be used no more; a snapshot with new patients has another one."""
        return self.uses >= self.limit


@dataclass(frozen=True, kw_only=True)
class ExportShown:
    """An export asked for; `sha256` is None until it is made."""

    id: UUID
    dates: str
    burned_in: str
    asked_at: datetime
    asked_by: str
    sha256: str | None
    byte_size: int | None
    images: int | None
    left_out: tuple[str, ...]
    job: JobShown | None


@dataclass(frozen=True, kw_only=True)
class SnapshotListed:
    """A snapshot in the list."""

    id: UUID
    name: str
    sha256: str
    images: int
    findings: tuple[str, ...]
    counts: dict[str, Any]
    """As `app.records.Snapshot.counts`."""
    test_sha256: str | None
    created_at: datetime
    created_by: str

    def images_in(self, split: str) -> int:
        """All images of a split."""
        return sum(self.counts["splits"].get(split, {}).values())

    @property
    def labels(self) -> tuple[str, ...]:
        """Those it has, by name."""
        return tuple(sorted({label for labels in self.counts["splits"].values() for label in labels}))

    @property
    def splits(self) -> tuple[str, ...]:
        """Those it has, in their order."""
        return tuple(split for split in SPLITS if split in self.counts["splits"])


@dataclass(frozen=True, kw_only=True)
class SnapshotShown(SnapshotListed):
    """A snapshot's own page."""

    test: LockedTest | None
    exports: tuple[ExportShown, ...]
    """The newest first."""


@dataclass(frozen=True, kw_only=True)
class Takeable:
    """A dataset that a snapshot can take, with its usable images."""

    id: UUID
    name: str
    images: int


def snapshots(session: Session) -> tuple[SnapshotListed, ...]:
    """The newest first."""
    rows = session.scalars(select(Snapshot).order_by(Snapshot.created_at.desc(), Snapshot.id).limit(_MOST))
    return tuple(SnapshotListed(**_listed(row)) for row in rows)


def snapshot(session: Session, *, snapshot_id: UUID) -> SnapshotShown:
    """Raises NotFound."""
    row = _row(session, snapshot_id)
    exports = session.scalars(
        select(SnapshotExport)
        .where(SnapshotExport.snapshot_id == row.id)
        .order_by(SnapshotExport.asked_at.desc(), SnapshotExport.id)
    ).all()
    return SnapshotShown(
        **_listed(row),
        test=locked_test(session, snapshot_id=row.id),
        exports=tuple(_export(session, export) for export in exports),
    )


def locked_test(session: Session, *, snapshot_id: UUID) -> LockedTest | None:
    """The snapshot's, with its uses; None where it has none. Raises NotFound."""
    row = _row(session, snapshot_id)
    if row.test_sha256 is None:
        return None
    uses = uses_of(session, test_sha256=row.test_sha256)
    return LockedTest(sha256=row.test_sha256, uses=uses, limit=settings().locked_test_uses)


def datasets_to_take(session: Session) -> tuple[Takeable, ...]:
    """Those that are ready, the newest first."""
    usable = (
        select(func.count())
        .where(
            DatasetFile.dataset_id == Dataset.id,
            DatasetFile.outcome == "usable",
            DatasetFile.label.is_not(None),
        )
        .scalar_subquery()
    )
    rows = session.execute(
        select(Dataset.id, Dataset.name, usable.label("images"))
        .where(Dataset.state == "ready")
        .order_by(Dataset.created_at.desc(), Dataset.id)
    )
    return tuple(Takeable(id=row.id, name=row.name, images=row.images) for row in rows)


def reviewed_studies(session: Session) -> int:
    """Studies on which a review stands, whether or not it gives a label; at most one more than `COUNTED`."""
    some = select(Review.study_id).where(stands()).distinct().limit(COUNTED + 1).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def export(session: Session, *, export_id: UUID) -> ExportShown:
    """One export. Raises NotFound."""
    export = session.get(SnapshotExport, export_id)
    if export is None:
        raise NotFound("There is no such export, or it is not made yet.")
    return _export(session, export)


def _row(session: Session, snapshot_id: UUID) -> Snapshot:
    row = session.get(Snapshot, snapshot_id)
    if row is None:
        raise NotFound("There is no such snapshot.")
    return row


def _listed(row: Snapshot) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "sha256": row.sha256,
        "images": row.images,
        "findings": tuple(row.findings),
        "counts": row.counts,
        "test_sha256": row.test_sha256,
        "created_at": row.created_at,
        "created_by": row.created_by_name,
    }


def _export(session: Session, export: SnapshotExport) -> ExportShown:
    return ExportShown(
        id=export.id,
        dates=export.dates,
        burned_in=export.burned_in,
        asked_at=export.asked_at,
        asked_by=export.asked_by_name,
        sha256=export.sha256,
        byte_size=export.byte_size,
        images=export.images,
        left_out=tuple(export.left_out),
        job=job_of(session, subject_id=export.id),
    )
