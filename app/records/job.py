"""Work that takes minutes and that the training worker does one piece at a time: the row is what is owed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now

AT_WORK = ("waiting", "running")
"""The states of a job that is not over."""


class Job(HasId, Base):
    """One piece of work on one subject: a dataset to inspect, a training run, an evaluation."""

    __tablename__ = "jobs"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """The order in which they are begun."""
    kind: Mapped[str]
    subject_id: Mapped[UUID]
    """The row of the kind's own table."""
    state: Mapped[str] = mapped_column(default="waiting")
    said: Mapped[str | None]
    """Why it was refused, failed or cancelled; a sentence."""
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`{stage, done, of, per_second, seconds_left}` of what is being done now."""
    told: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default=text("'[]'"))
    """What the work had to say on its way, in order: an epoch's losses, the counts of a split."""
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_asked_at: Mapped[datetime | None]
    cancel_asked_by_name: Mapped[str | None]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    asked_by_name: Mapped[str]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'refused', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("(state = 'running') = (lease_expires_at IS NOT NULL)", name="running_has_lease"),
        CheckConstraint("(state = 'running') = (worker IS NOT NULL)", name="running_has_worker"),
        CheckConstraint(
            "(state IN ('done', 'refused', 'failed', 'cancelled')) = (ended_at IS NOT NULL)",
            name="ended_has_time",
        ),
        CheckConstraint(
            "(state IN ('refused', 'failed', 'cancelled')) = (said IS NOT NULL)", name="says_why_not"
        ),
        CheckConstraint(
            "(cancel_asked_at IS NULL) = (cancel_asked_by_name IS NULL)", name="cancel_who_and_when"
        ),
        Index("ix_jobs_due", "sequence", postgresql_where=text("state IN ('waiting', 'running')")),
        Index("ix_jobs_subject_id", "subject_id"),
    )
