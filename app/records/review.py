"""Reviews: what a radiologist says of a study. Append-only; the last one stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
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
    signed_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        CheckConstraint("verdict IN ('confirmed', 'corrected', 'read')", name="verdict"),
        CheckConstraint("reviewer_kind IN ('user', 'key')", name="reviewer_kind"),
        Index("ix_reviews_study_id_sequence", "study_id", "sequence"),
        Index("ix_reviews_sequence", "sequence"),
    )
