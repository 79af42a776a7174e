"""Deletions: the record of each, who stands for deleted patients where networks learn, bytes that go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Deletion(HasId, Base):
    """Studies that were deleted together: by whom, why, how much. Append-only, and without patient data."""

    __tablename__ = "deletions"

    kind: Mapped[str]
    """patient: all studies of one, by a person; retention: those whose time was over."""
    reason: Mapped[str]
    deleted_at: Mapped[datetime] = mapped_column(default=now)
    deleted_by_name: Mapped[str]
    counts: Mapped[dict[str, Any]]
    """How many rows of what, in the words of `app.commands.deletion_rows.Counts`."""
    studies: Mapped[list[str]]
    """Their random ids, by which a restored backup finds them again."""
    images: Mapped[list[str]]
    """sha256 of each image, sorted: whoever has a file can show that it is gone."""

    __table_args__ = (
        CheckConstraint("kind IN ('patient', 'retention')", name="kind"),
        Index("ix_deletions_deleted_at", "deleted_at"),
    )


class DeletedPatientKey(Base):
    """A deleted patient who has a place in a snapshot keeps it, under a name that a keyed hash leads to."""

    __tablename__ = "deleted_patient_keys"

    mark: Mapped[str] = mapped_column(primary_key=True)
    """HMAC-SHA256 of the patient's key, or of its PatientID alone (`app.domain.deleted_patient`)."""
    stands_for: Mapped[str]
    """What `locked_patients`, `learned_patients`, `placed_images` and `test_patients` have instead."""


class BlobRemoval(Base):
    """Stored bytes that go unless a row names them; `app.commands.blob_removal` says when."""

    __tablename__ = "blob_removals"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(default=now)
    orphan: Mapped[bool] = mapped_column(default=False)
    """Found in the folder with nobody naming it; otherwise a deletion names it here."""

    __table_args__ = (Index("ix_blob_removals_since", "since"),)
