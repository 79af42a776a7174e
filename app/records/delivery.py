"""Deliveries: results on their way to other systems."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class Destination(HasId, Base):
    """Where finished readings are sent: a webhook and the secret that signs what it gets."""

    __tablename__ = "destinations"

    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    disabled_at: Mapped[datetime | None]
    disabled_by_name: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("(disabled_at IS NULL) = (disabled_by_name IS NULL)", name="disabled_who_and_when"),
    )


class Delivery(HasId, Base):
    """One message to one destination; `dead` after the last attempt, until somebody tries again; `withdrawn`
    where the signature it tells of was taken back before it was sent.
    """

    __tablename__ = "deliveries"

    destination_id: Mapped[UUID] = mapped_column(ForeignKey("destinations.id"))
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"))
    review_id: Mapped[UUID | None] = mapped_column(ForeignKey("reviews.id"))
    """The signature it tells of; None of a reading."""
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime] = mapped_column(default=now)
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    delivered_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'dead', 'withdrawn')", name="state"),
        CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_when"),
        Index("ix_deliveries_pending", "not_before", postgresql_where=text("state = 'pending'")),
        Index("ix_deliveries_state_created_at", "state", "created_at"),
        Index("ix_deliveries_created_at", "created_at", "id"),
        Index("ix_deliveries_study_id", "study_id"),
        Index("ix_deliveries_review_id", "review_id", postgresql_where=text("review_id IS NOT NULL")),
    )
