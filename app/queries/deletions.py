"""What was deleted, without the patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.deletion_proof import proof_of
from app.records import Deletion

_AT_ONCE = 100


def proofs(session: Session) -> Iterator[dict[str, Any]]:
    """Of every deletion, the oldest first."""
    asked = select(Deletion).order_by(Deletion.deleted_at, Deletion.id)
    for row in session.scalars(asked.execution_options(yield_per=_AT_ONCE)):
        yield proof_of(row)
