"""Reviews: what a radiologist says of a study. Append-only; the last one that was not withdrawn stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, ForeignKey, Identity, Index, exists, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Review(HasId, Base):
    """One signature: who, when, what of each finding, which reading had been seen."""

    __tablename__ = "reviews"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"))
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """The order of a study's reviews, counted by the database under the study's lock."""
    study_revision: Mapped[int]
    """The revision of the study the reader had before them."""
    reading_id: Mapped[UUID | None] = mapped_column(ForeignKey("readings.id"))
    bundle_sha256: Mapped[str | None]
    amends_id: Mapped[UUID | None] = mapped_column(ForeignKey("reviews.id"))
    reviewer_kind: Mapped[str]
    reviewer_id: Mapped[UUID]
    reviewer_name: Mapped[str]
    verdict: Mapped[str]
    findings: Mapped[dict[str, Any]]
    """`{finding: present | absent | uncertain}`."""
    network_findings: Mapped[dict[str, Any]]
    """What the network had said, copied, so that a label stands on its own."""
    image_ids: Mapped[list[str]]
    comment: Mapped[str]
    marks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default=text("'[]'"))
    """Where on its images the reader saw it: `app.domain.marks.Mark.as_json`."""
    blind: Mapped[bool] = mapped_column(default=False)
    """The signer had never been shown what the network said of the study."""
    signed_at: Mapped[datetime] = mapped_column(default=now)
    final_at: Mapped[datetime | None]
    """Until then its signer may withdraw it; None where it was final at once."""
    state_before: Mapped[str | None]
    """The study's state before the signature, or before the claim that led to it: a withdrawal leads back."""
    reason_before: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("verdict IN ('confirmed', 'corrected', 'read')", name="verdict"),
        CheckConstraint("reviewer_kind IN ('user', 'key')", name="reviewer_kind"),
        CheckConstraint("final_at IS NULL OR state_before IS NOT NULL", name="withdrawable_leads_back"),
        Index("ix_reviews_study_id_sequence", "study_id", "sequence"),
        Index("ix_reviews_sequence", "sequence"),
        Index("ix_reviews_reading_id", "reading_id", postgresql_where=text("reading_id IS NOT NULL")),
        Index("ix_reviews_amends_id", "amends_id", postgresql_where=text("amends_id IS NOT NULL")),
        Index("ix_reviews_blind", "study_id", postgresql_where=text("blind")),
    )


class Withdrawal(HasId, Base):
    """A signature taken back by its signer before it was final: it stays on record and counts nowhere."""

    __tablename__ = "withdrawals"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id"), unique=True)
    withdrawn_at: Mapped[datetime] = mapped_column(default=now)
    withdrawn_by_name: Mapped[str]


def stands() -> ColumnElement[bool]:
    """True of reviews that nobody has withdrawn; the highest `sequence` of a study's is what counts."""
    return ~exists().where(Withdrawal.review_id == Review.id)
