"""Withdrawal: a signature is taken back by its signer before it is final, and the study is as it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import audit, cases, delivery, disagreement, review
from app.commands.ranking import announce
from app.domain.roles import Actor
from app.domain.states import DONE, READ_BY_NETWORK, State
from app.errors import Conflict, Forbidden, NotFound
from app.records import Reading, Review, Study, Withdrawal
from app.records.base import now
from app.records.review import stands


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """Where the study stands after a withdrawal."""

    study_id: UUID
    review_id: UUID
    state: State
    revision: int


def withdraw(session: Session, *, study_id: UUID, review_id: UUID, by: Actor, minutes: float) -> Withdrawn:
    """The signature counts nowhere any more, and its results are never sent.

    The study is as it was before it: held by the signer for `minutes` where it was unsigned, with the former
    verdict where it was amended; one that a new image has reopened meanwhile stays reopened. Withdrawn twice
    is withdrawn once. Raises Forbidden for anybody but the signer, Conflict once it is final or amended.
    """
    study = review.locked(session, study_id)
    signature = session.get(Review, review_id)
    if signature is None or signature.study_id != study.id:
        raise NotFound("There is no such signature.")
    review.check_may_review(by)
    if (signature.reviewer_kind, signature.reviewer_id) != (by.kind, by.id):
        raise Forbidden(f"Only {signature.reviewer_name}, who signed, can undo this signature. Amend it.")
    if session.scalar(select(Withdrawal.id).where(Withdrawal.review_id == signature.id)) is None:
        _check_last_and_open(session, signature)
        delivery.withdraw(session, review_id=signature.id)
        _withdraw(session, study, signature, by=by, minutes=minutes)
    return Withdrawn(
        study_id=study.id, review_id=signature.id, state=State(study.state), revision=study.revision
    )


def _check_last_and_open(session: Session, signature: Review) -> None:
    last = session.scalars(
        select(Review)
        .where(Review.study_id == signature.study_id, stands())
        .order_by(Review.sequence.desc())
        .limit(1)
    ).one()
    if last.id != signature.id:
        raise Conflict(
            f"{last.reviewer_name} has amended the study since, so this signature can no longer be undone. "
            "Amend the study if it is still wrong.",
        )
    final_at = signature.final_at or signature.signed_at
    if now() >= final_at:
        raise too_late(final_at.astimezone(UTC))


def too_late(final_at: datetime) -> Conflict:
    """The refusal of what has become final; the moment is said in its own zone."""
    return Conflict(
        f"The signature became final at {final_at:%H:%M:%S %Z} and can no longer be undone. "
        "Open the study and amend it: every review stays in its history.",
        final_at=final_at.isoformat(),
    )


def _withdraw(session: Session, study: Study, signature: Review, *, by: Actor, minutes: float) -> None:
    session.add(Withdrawal(study_id=study.id, review_id=signature.id, withdrawn_by_name=by.name))
    audit.record(
        session,
        action="study.signature-withdrawn",
        by=by,
        study_id=study.id,
        subject_id=signature.id,
        verdict=signature.verdict,
    )
    disagreement.weigh(session, study)
    former = session.scalar(
        select(Review).where(Review.study_id == study.id, stands()).order_by(Review.sequence.desc()).limit(1)
    )
    study.signed_by_name = former.reviewer_name if former else None
    study.signed_at = former.signed_at if former else None
    reading = session.get(Reading, former.reading_id) if former and former.reading_id else None
    cases.keep(session, study_id=study.id, reading=reading)
    study.revision += 1
    if State(study.state) in DONE:  # else a new image has reopened it, and it waits to be read again
        assert signature.state_before is not None
        _lead_back(
            session, study, State(signature.state_before), signature.reason_before, by=by, minutes=minutes
        )
    announce(session, study)


def _lead_back(
    session: Session, study: Study, before: State, reason: str | None, *, by: Actor, minutes: float
) -> None:
    if before in DONE:
        study.state = before.value
        return
    standing = session.scalar(
        select(Reading).where(Reading.study_id == study.id).order_by(Reading.sequence.desc()).limit(1)
    )
    # The network may have spoken since, or have been given another header of an image to read.
    if before in READ_BY_NETWORK and study.screening_due and before is not State.FAILED:
        before, reason = State.ADMITTED, None
    elif before is not State.REOPENED and not study.screening_due and standing is not None:
        before, reason = State(standing.outcome), standing.reason
    study.state, study.reason = before.value, reason
    review.claim(session, study_id=study.id, by=by, minutes=minutes)
