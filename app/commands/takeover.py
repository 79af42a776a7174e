"""Take over: a study that somebody else holds becomes the caller's, who says why."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.commands import audit, review
from app.commands.ranking import announce
from app.commands.words_on_record import name_the_patient
from app.domain.roles import Actor
from app.domain.states import State
from app.errors import Conflict, Unprocessable
from app.records.base import now

TAKEN_OVER = "study.taken-over"
"""The audit action; its details are `holder` and `reason`, which the study's history repeats."""
LONGEST_REASON = 500


def take_over(
    session: Session,
    *,
    study_id: UUID,
    by: Actor,
    reason: str,
    minutes: float,
    held_since: datetime | None = None,
) -> None:
    """The study is held by `by` for so many minutes; who held it is told by whom and why it was taken.

    `held_since` is since when it was held as `by` saw it: a hold that began at another moment is not taken
    over, so that a request sent again takes nothing from whoever came in between (None: whatever hold there
    is). A study that nobody holds any more is claimed; one's own is held for longer, so a button pressed
    twice takes over once. Raises Unprocessable without a reason or with one that names the patient, Conflict
    where the hold is another or the study cannot be claimed.
    """
    study = review.locked(session, study_id)
    review.check_may_review(by)
    words = reason.strip()
    if not words or len(words) > LONGEST_REASON:
        raise Unprocessable(
            f"Say in at most {LONGEST_REASON} characters why you take the study over; its reader is shown it."
        )
    if name_the_patient(words, study):
        raise Unprocessable(
            "The reason names the patient, and it stays in the audit trail for ever. "
            "Say why without saying who."
        )
    moment = now()
    held = study.claim_expires_at is not None and study.claim_expires_at > moment
    if study.state != State.CLAIMED.value or not held or study.claimed_by_name == by.name:
        review.claim(session, study_id=study.id, by=by, minutes=minutes)
        return
    if held_since is not None and study.claimed_at != held_since:
        raise Conflict(
            f"{study.claimed_by_name} holds this study, and not since the moment that you were shown. "
            "Look who holds it now; nothing was taken over.",
            held_by=study.claimed_by_name,
        )
    audit.record(
        session,
        action=TAKEN_OVER,
        by=by,
        study_id=study.id,
        holder=study.claimed_by_name,
        reason=words,
    )
    study.claimed_by = by.id if by.kind == "user" else None
    study.claimed_by_name, study.claimed_at = by.name, moment
    study.claim_expires_at = moment + timedelta(minutes=minutes)
    announce(session, study)
