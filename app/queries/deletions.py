"""What was deleted, without the patients, and how many stored files are still to go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands.deletion_proof import proof_of
from app.commands.retention import LOOKED
from app.errors import NotFound
from app.records import BlobRemoval, Deletion, SiteChoice

_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class DeletionShown:
    """One deletion: who, when, why, how much."""

    id: UUID
    deleted_at: datetime
    deleted_by: str
    reason: str
    studies: int
    images: int


def proofs(session: Session) -> Iterator[dict[str, Any]]:
    """Of every deletion, the oldest first."""
    asked = select(Deletion).order_by(Deletion.deleted_at, Deletion.id)
    for row in session.scalars(asked.execution_options(yield_per=_AT_ONCE)):
        yield proof_of(row)


def proof(session: Session, *, deletion_id: UUID) -> dict[str, Any]:
    """Of one deletion; raises NotFound."""
    row = session.get(Deletion, deletion_id)
    if row is None:
        raise NotFound("There is no such deletion.")
    return proof_of(row)


def newest(session: Session, *, size: int) -> tuple[DeletionShown, ...]:
    """The deletions done last, the newest first."""
    studies, images = func.jsonb_array_length(Deletion.studies), func.jsonb_array_length(Deletion.images)
    rows = session.execute(
        select(
            Deletion.id,
            Deletion.deleted_at,
            Deletion.deleted_by_name,
            Deletion.reason,
            studies.label("studies"),
            images.label("images"),
        )
        .order_by(Deletion.deleted_at.desc(), Deletion.id)
        .limit(size)
    )
    return tuple(
        DeletionShown(
            id=row.id,
            deleted_at=row.deleted_at,
            deleted_by=row.deleted_by_name,
            reason=row.reason,
            studies=row.studies,
            images=row.images,
        )
        for row in rows
    )


def held_until(session: Session) -> datetime | None:
    """Retention deletes nothing before, since the clock was not seen running; None where it is not held."""
    row = session.get(SiteChoice, LOOKED)
    kept = row.value.get("held_until") if row is not None else None
    return datetime.fromisoformat(kept) if kept else None


def waiting(session: Session) -> int:
    """Stored files on the list of those that go."""
    return session.scalar(select(func.count()).select_from(BlobRemoval)) or 0
