"""Resolve: an administrator says what a conflict of identity was. Nothing is merged or deleted."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.errors import Conflict, NotFound, Unprocessable
from app.records import IdentityConflict
from app.records.base import now

LONGEST_RESOLUTION = 500


def resolve(session: Session, *, conflict_id: UUID, resolution: str, by: Actor) -> None:
    """The conflict is decided, in words, and no longer shown with its studies; both sides stay as they are.

    Raises NotFound, Conflict where somebody else has decided otherwise, and Unprocessable for an empty or
    overlong decision. The same decision by the same person again changes nothing.
    """
    words = resolution.strip()
    if not words or len(words) > LONGEST_RESOLUTION:
        raise Unprocessable(f"Say in 1 to {LONGEST_RESOLUTION} characters what was found and decided.")
    conflict = session.get(IdentityConflict, conflict_id, with_for_update=True)
    if conflict is None:
        raise NotFound("There is no such conflict.")
    if conflict.resolved_at is not None:
        if conflict.resolved_by_name == by.name and conflict.resolution == words:
            return
        raise Conflict(f"{conflict.resolved_by_name} has resolved this conflict already.")
    conflict.resolved_at, conflict.resolved_by_name, conflict.resolution = now(), by.name, words
    # The words may name a patient, so they stay with the conflict and out of the trail.
    audit.record(
        session,
        action="conflict.resolved",
        by=by,
        study_id=conflict.study_id,
        subject_id=conflict.id,
        kind=conflict.kind,
    )
