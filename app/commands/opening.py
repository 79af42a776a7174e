"""Opening: who may sign a study and has it on the screen holds it, until they leave it with nothing done."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import review
from app.commands.second_opinions import is_asked_by
from app.domain.roles import Actor
from app.domain.states import State
from app.records import Study
from app.records.base import now


def open_study(session: Session, *, study_id: UUID, by: Actor, minutes: float) -> datetime | None:
    """A free study is held by `by` for so many minutes; until when, as `leave_study` wants to hear it.

    None where there is nothing to let go of when it is left: it cannot be claimed, it is another's, `by` has
    asked a colleague who has yet to answer, or it was held by `by` before, and is for longer now.
    """
    study = review.locked(session, study_id)
    asked = session.scalar(select(is_asked_by(by.name)).where(Study.id == study.id))
    if asked or not review.can_claim(study, by=by):
        return None
    held = study.claim_expires_at is not None and study.claim_expires_at > now()
    mine = held and study.state == State.CLAIMED.value and study.claimed_by_name == by.name
    review.claim(session, study_id=study.id, by=by, minutes=minutes, via="page")
    return None if mine else study.claim_expires_at


def leave_study(session: Session, *, study_id: UUID, by: Actor, held_until: datetime) -> None:
    """The hold that opening began ends, where it still is that one. Whatever claimed the study since, by hand
    or in another tab, has prolonged it: then it stays.
    """
    study = review.locked(session, study_id)
    if study.claimed_by_name == by.name and study.claim_expires_at == held_until:
        review.release(session, study_id=study.id, by=by, via="page")


def leave_unheard(session: Session, *, study_id: UUID, by: Actor, shown_at: datetime, minutes: float) -> bool:
    """As `leave_study`, for who left before they heard until when: the hold of so many minutes ends that
    began after `shown_at` and that nothing has prolonged. False where there is none, or none yet: opening may
    be heard of after leaving.
    """
    study = review.locked(session, study_id)
    if study.claimed_by_name != by.name or study.claimed_at is None or study.claim_expires_at is None:
        return False
    if study.claimed_at < shown_at or study.claim_expires_at > study.claimed_at + timedelta(minutes=minutes):
        return False
    review.release(session, study_id=study.id, by=by, via="page")
    return True
