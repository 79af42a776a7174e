"""Beside the snapshots themselves: whom networks may have learnt from, who judges in which test, exports."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class LearnedPatient(Base):
    """A patient whom a snapshot had in train or val: there they stay, and never judge. Append-only."""

    __tablename__ = "learned_patients"

    patient_key: Mapped[str] = mapped_column(primary_key=True)
    split: Mapped[str]
    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))

    __table_args__ = (CheckConstraint("split IN ('train', 'val')", name="split"),)


class PlacedImage(Base):
    """Whose an image is, as the first snapshot that met it had it; brought again under another key it is
    still theirs. Append-only.
    """

    __tablename__ = "placed_images"

    image_sha256: Mapped[str] = mapped_column(primary_key=True)
    patient_key: Mapped[str] = mapped_column(index=True)
    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))


class JudgingPatient(Base):
    """A patient of one locked test set. Append-only."""

    __tablename__ = "test_patients"

    test_sha256: Mapped[str] = mapped_column(primary_key=True)
    patient_key: Mapped[str] = mapped_column(primary_key=True, index=True)


class SnapshotExport(HasId, Base):
    """A snapshot's images without their patients, as asked for; its job says how far that is."""

    __tablename__ = "snapshot_exports"

    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))
    dates: Mapped[str]
    """removed, or shifted: by as many days for all images of a patient."""
    burned_in: Mapped[str]
    """left-out or masked: what becomes of images in which letters may be burned."""
    asked_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]
    sha256: Mapped[str | None]
    """Of the zip, which is a blob; None until it is made."""
    byte_size: Mapped[int | None] = mapped_column(BigInteger)
    images: Mapped[int | None]
    left_out: Mapped[list[str]] = mapped_column(default=list)
    """Sentences."""

    __table_args__ = (
        CheckConstraint("dates IN ('removed', 'shifted')", name="dates"),
        CheckConstraint("burned_in IN ('left-out', 'masked')", name="burned_in"),
        CheckConstraint(
            "(sha256 IS NULL) = (images IS NULL) AND (sha256 IS NULL) = (byte_size IS NULL)",
            name="made_says_what",
        ),
        Index("ix_snapshot_exports_snapshot_id_asked_at", "snapshot_id", "asked_at"),
    )
