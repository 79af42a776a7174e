"""The audit trail: append-only, without foreign keys, so that nothing it tells of can take it along."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, now


class AuditEvent(Base):
    """One thing that happened: who, when, what, to which study, from where."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    action: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    address: Mapped[str | None]
    study_id: Mapped[UUID | None]
    subject_id: Mapped[str | None]
    """Id of the image, review, user, key, delivery or bundle it is about."""
    details: Mapped[dict[str, Any]]
    """Never patient data."""
    count: Mapped[int] = mapped_column(default=1)
    """How often: refusals in a flood share a row."""

    __table_args__ = (
        Index("ix_audit_events_study_id", "study_id", "id"),
        Index("ix_audit_events_at", "at"),
        Index("ix_audit_events_actor", "actor_name", "id"),
        Index("ix_audit_events_action", "action", "id"),
    )
