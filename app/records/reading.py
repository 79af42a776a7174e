"""Readings: what the network said of a study, and of each of its images. Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now
from app.records.vector import HalfVector

EMBEDDING_SIZE = 128
"""Numbers of an embedding: what bundles give, and the type of the column (migration 0005)."""


class Reading(HasId, Base):
    """The network's reading of a study: the maximum over its passing images."""

    __tablename__ = "readings"

    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"))
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """The highest of a study stands. The database counts, under the study's lock; workers' clocks do not."""
    bundle_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))
    runtime: Mapped[str | None]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    lane: Mapped[str | None]
    urgency: Mapped[float | None]
    findings: Mapped[dict[str, Any]]
    """`{finding: {probability, present, lane}}`; empty unless screened."""
    notices: Mapped[list[str]] = mapped_column(JSONB)
    read_at: Mapped[datetime] = mapped_column(default=now)
    seconds: Mapped[float | None]
    """From claim to record."""
    made_with: Mapped[dict[str, Any] | None]
    """What, beside bundle and runtime, the same bits take: library, device, threads, program, and `places`,
    of each image `[which, of how many]` of the network's pass. None of readings from before it was kept.
    """

    __table_args__ = (
        CheckConstraint("outcome IN ('screened', 'withheld', 'failed')", name="outcome"),
        CheckConstraint("(outcome = 'screened') = (lane IS NOT NULL)", name="lane_if_screened"),
        CheckConstraint("(outcome = 'screened') <= (bundle_sha256 IS NOT NULL)", name="bundle_if_screened"),
        CheckConstraint("(outcome = 'screened') = (reason IS NULL)", name="reason_unless_screened"),
        Index("ix_readings_study_id_sequence", "study_id", "sequence"),
        Index("ix_readings_read_at", "read_at"),
    )


class ImageReading(HasId, Base):
    """What the network said of one image, or why it may not speak of it."""

    __tablename__ = "image_readings"

    reading_id: Mapped[UUID] = mapped_column(ForeignKey("readings.id"), index=True)
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), index=True)
    outcome: Mapped[str]
    reason: Mapped[str | None]
    findings: Mapped[dict[str, Any]]
    """As the study's, with `logit` and `activation_map` (rows of logit contributions) besides."""
    notices: Mapped[list[str]] = mapped_column(JSONB)
    embedding: Mapped[Sequence[float] | None] = mapped_column(HalfVector(EMBEDDING_SIZE))
    """Of length 1; comparable within the reading's bundle. None where the bundle gives none."""

    __table_args__ = (CheckConstraint("outcome IN ('screened', 'withheld', 'failed')", name="outcome"),)
