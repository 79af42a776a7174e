"""A bundle's exports, and how far each agreed with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.exporting import KIND
from app.errors import NotFound
from app.queries.bundles import BundleShown, bundles
from app.queries.jobs import JobShown, job_of
from app.records import BundleExport

_NEWEST = 20


@dataclass(frozen=True, kw_only=True)
class ExportShown:
    """One export; `sha256`, `byte_size` and `agreement` once it is made."""

    id: UUID
    format: str
    asked_at: datetime
    asked_by: str
    sha256: str | None
    byte_size: int | None
    agreement: dict[str, Any] | None
    job: JobShown | None


@dataclass(frozen=True, kw_only=True)
class BundleExports:
    """A bundle and its newest exports, the newest first."""

    bundle: BundleShown
    exports: tuple[ExportShown, ...]


def exports_of(session: Session, *, sha256: str) -> BundleExports:
    """Raises NotFound where there is no such bundle."""
    bundle = next((known for known in bundles(session) if known.sha256 == sha256), None)
    if bundle is None:
        raise NotFound("There is no such bundle.")
    rows = session.scalars(
        select(BundleExport)
        .where(BundleExport.bundle_sha256 == sha256)
        .order_by(BundleExport.asked_at.desc(), BundleExport.id)
        .limit(_NEWEST)
    )
    return BundleExports(
        bundle=bundle,
        exports=tuple(
            ExportShown(
                id=row.id,
                format=row.format,
                asked_at=row.asked_at,
                asked_by=row.asked_by_name,
                sha256=row.sha256,
                byte_size=row.byte_size,
                agreement=row.agreement,
                job=job_of(session, subject_id=row.id, kind=KIND),
            )
            for row in rows
        ),
    )
