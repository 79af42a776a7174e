"""What a network learns from and is judged by: snapshots, locked patients, training runs, evaluations.

Snapshots, locked patients and evaluations are append-only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Snapshot(HasId, Base):
    """A frozen set of labelled images: a manifest CSV, which is a blob (columns: `app.domain.snapshot`)."""

    __tablename__ = "snapshots"

    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    """Of the manifest's bytes, and so of everything the snapshot holds."""
    images: Mapped[int]
    counts: Mapped[dict[str, Any]]
    """`{splits: {split: {label: images}}, patients: {split: n}, sources: {split: {source: images}},
    reviewers: {name: images}, blind: images, datasets: [name], left_out: [sentence]}`."""
    findings: Mapped[list[str]]
    test_sha256: Mapped[str | None]
    """Of the rows of the locked test set; None where it holds none."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]

    __table_args__ = (Index("ix_snapshots_created_at", "created_at"),)


class LockedPatient(Base):
    """A patient who judges networks, and from whom none of this site's ever learns."""

    __tablename__ = "locked_patients"

    patient_key: Mapped[str] = mapped_column(primary_key=True)
    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))
    locked_at: Mapped[datetime] = mapped_column(default=now)


class TrainingRun(HasId, Base):
    """One training; the job of the same subject says how far it is."""

    __tablename__ = "training_runs"

    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"), index=True)
    mode: Mapped[str]
    start_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))
    """The bundle from which it goes on; None for ImageNet's weights."""
    budget_minutes: Mapped[float | None]
    seed: Mapped[int]
    occasion: Mapped[str]
    """What it was begun for: asked (somebody pressed the button), schedule, reviews."""
    asked_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]
    candidate_sha256: Mapped[str | None] = mapped_column(ForeignKey("bundles.sha256"))
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What came out beside the bundle: images per second, the learning curve, held-out and stress figures."""

    __table_args__ = (
        CheckConstraint("mode IN ('quick', 'thorough')", name="mode"),
        CheckConstraint("occasion IN ('asked', 'schedule', 'reviews')", name="occasion"),
        Index("ix_training_runs_asked_at", "asked_at"),
    )


class EvaluationOrder(HasId, Base):
    """Somebody wants a candidate judged by a locked test; the job of the same subject says how far it is."""

    __tablename__ = "evaluation_orders"

    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))
    test_sha256: Mapped[str]
    candidate_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"), index=True)
    asked_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]


class Evaluation(HasId, Base):
    """One use of a locked test set: a candidate beside the bundle that was active, and the gate's word. Its
    id is that of its order.
    """

    __tablename__ = "evaluations"

    snapshot_id: Mapped[UUID] = mapped_column(ForeignKey("snapshots.id"))
    test_sha256: Mapped[str]
    candidate_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"), index=True)
    active_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"))
    evaluated_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]
    outcome: Mapped[dict[str, Any]]
    """`models.compare.compare` and `models.evaluate.evaluate` of the candidate, as JSON."""
    gate: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """`models.promotion_gate.Line`, as JSON."""
    may_be_promoted: Mapped[bool]

    __table_args__ = (Index("ix_evaluations_test_sha256", "test_sha256"),)


class Proposal(HasId, Base):
    """Somebody wants a candidate promoted; somebody else, or the site's rule of one, decides."""

    __tablename__ = "proposals"

    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"), index=True)
    evaluation_id: Mapped[UUID] = mapped_column(ForeignKey("evaluations.id"))
    reason: Mapped[str]
    proposed_at: Mapped[datetime] = mapped_column(default=now)
    proposed_by_id: Mapped[UUID]
    proposed_by_name: Mapped[str]
    decision: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decided_by_name: Mapped[str | None]
    decision_reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("decision IN ('promoted', 'declined', 'withdrawn')", name="decision"),
        CheckConstraint("(decision IS NULL) <= (decision_reason IS NULL)", name="undecided_has_no_reason"),
        CheckConstraint(
            "(decision IS NULL) = (decided_at IS NULL) AND (decision IS NULL) = (decided_by_name IS NULL)",
            name="decided_who_and_when",
        ),
    )


class Shadow(HasId, Base):
    """From `begun_at` to `ended_at` a candidate also reads what the active bundle read; nobody sees it."""

    __tablename__ = "shadows"

    bundle_sha256: Mapped[str] = mapped_column(ForeignKey("bundles.sha256"), index=True)
    begun_at: Mapped[datetime] = mapped_column(default=now)
    begun_by_name: Mapped[str]
    ended_at: Mapped[datetime | None]
    ended_by_name: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (ended_by_name IS NULL)", name="ended_who_and_when"),
    )


class ShadowReading(HasId, Base):
    """What the candidate would have said where the active bundle said `reading_id`. Append-only."""

    __tablename__ = "shadow_readings"

    shadow_id: Mapped[UUID] = mapped_column(ForeignKey("shadows.id"))
    reading_id: Mapped[UUID] = mapped_column(ForeignKey("readings.id"))
    outcome: Mapped[str]
    reason: Mapped[str | None]
    lane: Mapped[str | None]
    urgency: Mapped[float | None]
    findings: Mapped[dict[str, Any]]
    runtime: Mapped[str]
    read_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        CheckConstraint("outcome IN ('screened', 'withheld', 'failed')", name="outcome"),
        Index("ix_shadow_readings_reading_id", "reading_id"),
        Index("ix_shadow_readings_shadow_id_reading_id", "shadow_id", "reading_id", unique=True),
        Index("ix_shadow_readings_shadow_id_read_at", "shadow_id", "read_at"),
    )
