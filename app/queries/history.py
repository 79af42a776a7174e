"""What people did with a study: signatures, amendments, withdrawals, take-overs, with names and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.identity import ASKED_AGAIN, HEADER_REVISED
from app.commands.superseding import superseded_by
from app.commands.takeover import TAKEN_OVER
from app.domain.marks import on_standing_images
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.records import Adjudication, AuditEvent, Review, Study, Withdrawal
from app.records.base import now
from app.records.review import stands


@dataclass(frozen=True, kw_only=True)
class ReviewShown:
    """One signature."""

    review_id: UUID
    reviewer_name: str
    reviewer_id: UUID
    verdict: str | None
    """None where the network's opinion is hidden from whoever asked."""
    blind: bool | None
    findings: dict[str, Any]
    network_findings: dict[str, Any]
    comment: str
    marks: list[dict[str, Any]]
    """Each on the image that stands, also where it was drawn before another header came."""
    signed_at: datetime
    final_at: datetime | None
    """Until then its signer may withdraw it; None where it was final at once."""
    withdrawn_at: datetime | None
    amends: bool
    label_source: str
    """review or adjudicated: where a label that is made of it comes from."""
    by_a_party: bool
    """It is adjudicated by somebody who had signed the study before."""


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One line of the history."""

    kind: str
    """review, withdrawal or take-over."""
    at: datetime
    by: str
    review: ReviewShown | None = None
    """The signature it tells of; None of a take-over."""
    lost_by: str | None = None
    reason: str | None = None
    """From whom a study was taken over, and why."""


@dataclass(frozen=True, kw_only=True)
class LastSignature:
    """What somebody has just signed, and how long they may still undo it."""

    review_id: UUID
    study_id: UUID
    patient_name: str | None
    patient_id: str
    findings: dict[str, Any]
    amends: bool
    final_at: datetime | None
    seconds_left: float
    """0 once it is final."""


def history(session: Session, *, study_id: UUID) -> tuple[Happening, ...]:
    """All of it, the newest first."""
    rows = session.execute(
        select(Review, Withdrawal, Adjudication)
        .outerjoin(Withdrawal, Withdrawal.review_id == Review.id)
        .outerjoin(Adjudication, Adjudication.review_id == Review.id)
        .where(Review.study_id == study_id)
        .order_by(Review.sequence.desc())
    ).all()
    newer = superseded_by(session, [study_id])
    happened: list[Happening] = []
    for row, withdrawal, adjudication in rows:
        review = _review(row, withdrawal, adjudication, superseded_by=newer)
        if withdrawal is not None:
            happened.append(
                Happening(
                    kind="withdrawal",
                    at=withdrawal.withdrawn_at,
                    by=withdrawal.withdrawn_by_name,
                    review=review,
                )
            )
        happened.append(Happening(kind="review", at=row.signed_at, by=row.reviewer_name, review=review))
    return _among(happened, _take_overs(session, study_id))


def lost_to(session: Session, *, study_id: UUID, reader: str) -> Happening | None:
    """The take-over by which the reader lost the study to whoever holds it now, or has signed it since."""
    newest = next(iter(_take_overs(session, study_id, limit=1)), None)
    study = session.get(Study, study_id)
    if newest is None or study is None or newest.lost_by != reader:
        return None
    signed_since = study.signed_by_name == newest.by and study.signed_at and study.signed_at > newest.at
    return newest if study.claimed_by_name == newest.by or signed_since else None


def besides_signatures(
    session: Session, *, study_id: UUID, since: datetime
) -> tuple[tuple[datetime, str], ...]:
    """What has happened since then to the study's order and its headers: when, and in a sentence."""
    events = session.scalars(
        select(AuditEvent)
        .where(
            AuditEvent.study_id == study_id,
            AuditEvent.action.in_((HEADER_REVISED, ASKED_AGAIN)),
            AuditEvent.at > since,
        )
        .order_by(AuditEvent.id)
    )
    said = ((event.at, _say(event)) for event in events)
    return tuple((at, words) for at, words in said if words)


def _say(event: AuditEvent) -> str | None:
    if event.action == ASKED_AGAIN:
        return sentence("The order became STAT.") if event.details["became_stat"] else None
    said_changed = str(event.details["changed"])
    if not said_changed:
        return sentence("An image came again with another header.")
    return sentence(f"An image came again with another header: {said_changed}.")


def _take_overs(session: Session, study_id: UUID, *, limit: int | None = None) -> list[Happening]:
    """The newest first; the audit trail is where they are kept."""
    events = session.scalars(
        select(AuditEvent)
        .where(AuditEvent.study_id == study_id, AuditEvent.action == TAKEN_OVER)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    return [
        Happening(
            kind="take-over",
            at=event.at,
            by=event.actor_name,
            lost_by=str(event.details["holder"]),
            reason=str(event.details["reason"]),
        )
        for event in events
    ]


def _among(reviews: list[Happening], others: Sequence[Happening]) -> tuple[Happening, ...]:
    """The others put among the reviews by their time; reviews stay in the order the database counted."""
    lines = list(reviews)
    for other in others:
        place = next((index for index, line in enumerate(lines) if line.at <= other.at), len(lines))
        lines.insert(place, other)
    return tuple(lines)


def standing_reviews(happened: Sequence[Happening]) -> tuple[ReviewShown, ...]:
    """The reviews of a history that nobody has withdrawn, the newest first."""
    return tuple(
        line.review
        for line in happened
        if line.kind == "review" and line.review is not None and line.review.withdrawn_at is None
    )


def last_signature(session: Session, *, study_id: UUID, by: Actor) -> LastSignature | None:
    """The study's last signature, where it stands and `by` gave it."""
    row = session.execute(
        select(Review, Study)
        .join(Study, Study.id == Review.study_id)
        .where(Review.study_id == study_id, stands())
        .order_by(Review.sequence.desc())
        .limit(1)
    ).one_or_none()
    if row is None or (row.Review.reviewer_kind, row.Review.reviewer_id) != (by.kind, by.id):
        return None
    review, study = row
    left = (review.final_at - now()).total_seconds() if review.final_at else 0.0
    return LastSignature(
        review_id=review.id,
        study_id=study.id,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        findings=review.findings,
        amends=review.amends_id is not None,
        final_at=review.final_at,
        seconds_left=max(left, 0.0),
    )


def signed_from(session: Session, *, study_id: UUID, revision: int, by: Actor) -> ReviewShown | None:
    """What `by` has signed of the study as it was at that revision, if it stands."""
    row = session.scalar(
        select(Review)
        .where(
            Review.study_id == study_id,
            Review.study_revision == revision,
            Review.reviewer_kind == by.kind,
            Review.reviewer_id == by.id,
            stands(),
        )
        .order_by(Review.sequence.desc())
        .limit(1)
    )
    return None if row is None else _review(row, None, None, superseded_by=superseded_by(session, [study_id]))


def _review(
    review: Review,
    withdrawal: Withdrawal | None,
    adjudication: Adjudication | None,
    *,
    superseded_by: Mapping[str, str],
) -> ReviewShown:
    return ReviewShown(
        review_id=review.id,
        reviewer_name=review.reviewer_name,
        reviewer_id=review.reviewer_id,
        verdict=review.verdict,
        blind=review.blind,
        findings=review.findings,
        network_findings=review.network_findings,
        comment=review.comment,
        marks=on_standing_images(review.marks, superseded_by),
        signed_at=review.signed_at,
        final_at=review.final_at,
        withdrawn_at=withdrawal.withdrawn_at if withdrawal else None,
        amends=review.amends_id is not None,
        label_source="adjudicated" if adjudication else "review",
        by_a_party=adjudication is not None and adjudication.by_a_party,
    )
