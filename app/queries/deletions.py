"""What was deleted, without the patients, and how many stored files are still to go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands.deletion_proof import proof_of
from app.records import BlobRemoval, Deletion

_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class DeletionShown:
    """One deletion: who, when, why, how much."""

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


def newest(session: Session, *, size: int) -> tuple[DeletionShown, ...]:
    """The deletions done last, the newest first."""
    rows = session.scalars(select(Deletion).order_by(Deletion.deleted_at.desc(), Deletion.id).limit(size))
    return tuple(
        DeletionShown(
            deleted_at=row.deleted_at,
            deleted_by=row.deleted_by_name,
            reason=row.reason,
            studies=len(row.studies),
            images=len(row.images),
        )
        for row in rows
    )


def waiting(session: Session) -> int:
    """Stored files on the list of those that go."""
    return session.scalar(select(func.count()).select_from(BlobRemoval)) or 0
