"""Disagreement: whether the readers of a study say different things of a finding, as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records import Adjudication, Review, Study
from app.records.review import stands


def positions(session: Session, *, study_id: UUID) -> tuple[Review, ...]:
    """The reviews that count against each other, the oldest first: the latest of each reader.

    An adjudication takes the place of all before it. Those of other images than the newest review had before
    it (the study was reopened since) count no more.
    """
    standing = session.scalars(
        select(Review).where(Review.study_id == study_id, stands()).order_by(Review.sequence)
    ).all()
    settled = set(session.scalars(select(Adjudication.review_id).where(Adjudication.study_id == study_id)))
    last_settled = max((at for at, review in enumerate(standing) if review.id in settled), default=0)
    latest: dict[tuple[str, UUID], Review] = {}
    for review in standing[last_settled:]:
        reader = (review.reviewer_kind, review.reviewer_id)
        latest.pop(reader, None)
        latest[reader] = review
    seen = standing[-1].image_ids if standing else []
    return tuple(review for review in latest.values() if review.image_ids == seen)


def differences(reviews: Sequence[Review]) -> tuple[str, ...]:
    """The findings of which the reviews say different things, sorted; *uncertain* is a thing said."""
    said: dict[str, set[str]] = {}
    for review in reviews:
        for finding, statement in review.findings.items():
            said.setdefault(finding, set()).add(statement)
    return tuple(sorted(finding for finding, statements in said.items() if len(statements) > 1))


def weigh(session: Session, study: Study) -> None:
    """Notes on the study whether its readers disagree; for whoever signed or withdrew a review."""
    session.flush()
    study.disputed = bool(differences(positions(session, study_id=study.id)))
