"""Delete again: what a restored backup brought back goes by the proofs of the deletions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from app.blobs import Blobs
from app.commands import deletion
from app.commands.backup_contents import named_among
from app.domain.roles import Actor
from app.errors import Conflict, NotFound, Unprocessable
from app.records import BlobRemoval
from app.records.engine import transaction

_KINDS = ("patient", "retention")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a line of `firstread patient deleted` says that is needed to do it again."""

    id: UUID
    kind: str
    reason: str
    studies: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True)
class Again:
    """What came of it."""

    studies: int
    """That were there again, and are deleted."""
    had_place: bool
    """As of `deletion.Deleted`, of any of them."""
    refused: tuple[str, ...]
    """Sentences: deletions that could not be done again now."""


def proof_in(line: str) -> Proof:
    """Raises ValueError for anything that `proof_of` does not make."""
    try:
        told: Any = json.loads(line)
        studies = told["studies"]
        if not isinstance(studies, list) or told["kind"] not in _KINDS:
            raise TypeError
        proof = Proof(
            id=UUID(told["deletion"]),
            kind=told["kind"],
            reason=deletion.one_line(told["reason"]),
            studies=tuple(UUID(study) for study in studies),
        )
    except (Unprocessable, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("That is no proof of a deletion.") from error
    return proof


def again(proofs: Sequence[Proof], blobs: Blobs, *, by: Actor, held_too: bool = False) -> Again:
    """Each deletion is done once more where its studies are there, in a transaction of its own; one that
    cannot be done now does not keep the others.
    """
    studies, had_place, refused = 0, False, []
    for proof in proofs:
        try:
            with transaction() as session:
                done = deletion.delete_again(
                    session,
                    blobs,
                    ids=proof.studies,
                    kind=proof.kind,
                    reason=proof.reason,
                    was=proof.id,
                    by=by,
                    held_too=held_too,
                )
        except Conflict as problem:
            refused.append(f"Deletion {proof.id}: {problem.detail}")
            continue
        if done is not None:
            studies, had_place = studies + done.studies, had_place or done.had_place
    return Again(studies=studies, had_place=had_place, refused=tuple(refused))


def remove_at_once(blobs: Blobs) -> int:
    """All listed bytes that no row names are gone; for where no part of the service runs, so that nobody can
    be about to name them. Returns how many.
    """
    removed = 0
    with transaction() as session:
        listed = session.scalars(select(BlobRemoval.sha256).order_by(BlobRemoval.sha256)).all()
        for start in range(0, len(listed), 1000):
            some = listed[start : start + 1000]
            for sha256 in sorted(set(some) - named_among(session, some)):
                try:
                    blobs.path(sha256).unlink()
                    removed += 1
                except NotFound:
                    continue
        session.execute(delete(BlobRemoval))
    return removed
