"""Datasets: labelled radiographs that an administrator brought."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Dataset(HasId, Base):
    """A folder, a zip or a manifest as it was brought; what was found in it once a worker has looked."""

    __tablename__ = "datasets"

    name: Mapped[str]
    state: Mapped[str] = mapped_column(default="receiving")
    said: Mapped[str | None]
    """Why it was refused; a sentence."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    inspected_at: Mapped[datetime | None]
    inspection: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Warnings in sentences, patients that cross splits, which network looked; empty before."""
    used_at: Mapped[datetime | None]
    """When a snapshot first took from it; from then on its files stay."""

    __table_args__ = (
        CheckConstraint("state IN ('receiving', 'inspecting', 'ready', 'refused')", name="state"),
        CheckConstraint("(state = 'refused') = (said IS NOT NULL)", name="refused_says_why"),
        CheckConstraint("(state = 'ready') <= (inspected_at IS NOT NULL)", name="ready_was_inspected"),
    )


class DatasetFile(HasId, Base):
    """One file of a dataset; its bytes are a blob."""

    __tablename__ = "dataset_files"

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"))
    path: Mapped[str]
    """As it was called in the folder or the zip, with slashes."""
    sha256: Mapped[str]
    byte_size: Mapped[int]
    label: Mapped[str | None]
    subtype: Mapped[str | None]
    patient_key: Mapped[str | None]
    split: Mapped[str | None]
    """train, val or test, where the dataset says."""
    outcome: Mapped[str | None]
    """usable, unreadable, withheld, duplicate, contradicting, not-an-image, unlabelled, left-out; archive and
    manifest are files that are no image and were used. None before the inspection.
    """
    reason: Mapped[str | None]
    copy_of: Mapped[str | None]
    """The path of the file of which this one is a copy or nearly one."""
    doubt: Mapped[float | None]
    """How strongly a network that has not seen it disagrees with its label, 0 to 1."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """age_years, sex, view, station, media_type, rows, columns, where the file says."""
    thumbnail_sha256: Mapped[str | None]
    brought_label: Mapped[str | None]
    """The label as it was brought, whatever somebody decided since; None before the inspection."""
    decision: Mapped[str | None]
    """What somebody decided last against what was found: relabelled, left-out, or taken-in although withheld.
    A label set right and a picture taken in stay so whatever is decided next.
    """
    decided_by_name: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    taken_in: Mapped[bool] = mapped_column(default=False)
    """Somebody takes it in although it is withheld."""

    __table_args__ = (
        CheckConstraint("decision IN ('relabelled', 'left-out', 'taken-in')", name="decision"),
        CheckConstraint(
            "(decision IS NULL) = (decided_by_name IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name="decision_who_and_when",
        ),
        Index("ix_dataset_files_dataset_id_path", "dataset_id", "path", unique=True),
        Index("ix_dataset_files_dataset_id_doubt", "dataset_id", "doubt"),
        Index("ix_dataset_files_sha256", "sha256"),
        Index(
            "ix_dataset_files_thumbnail_sha256",
            "thumbnail_sha256",
            postgresql_where=text("thumbnail_sha256 IS NOT NULL"),
        ),
    )
