"""Disagreement: whether the readers of a study say different things of a finding, as it stands now."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.superseding import superseded_by
from app.domain import positions as rule
from app.domain.positions import differences
from app.records import Adjudication, Review, Study
from app.records.review import stands

__all__ = ["differences", "positions", "weigh"]


def positions(session: Session, *, study_id: UUID) -> tuple[Review, ...]:
    """The reviews that count against each other, the oldest first (`app.domain.positions`)."""
    standing = session.scalars(
        select(Review).where(Review.study_id == study_id, stands()).order_by(Review.sequence)
    ).all()
    settled = set(session.scalars(select(Adjudication.review_id).where(Adjudication.study_id == study_id)))
    newer = superseded_by(session, [study_id])
    return rule.positions(standing, adjudications=settled, superseded_by=newer)


def weigh(session: Session, study: Study) -> None:
    """Notes on the study whether its readers disagree; for whoever signed or withdrew a review."""
    session.flush()
    study.disputed = bool(differences(positions(session, study_id=study.id)))
