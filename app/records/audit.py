"""The audit trail: append-only, without foreign keys, so that nothing it tells of can take it along; and the
seals on it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary
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


class AuditSeal(Base):
    """A batch of events that none can join or leave: those after the previous seal's `last_id`, up to this
    one's.

    `app.commands.audit_seals` says what leaves and heads are made of.
    """

    __tablename__ = "audit_seals"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    rows: Mapped[int]
    leaves: Mapped[bytes] = mapped_column(LargeBinary)
    """Id (8 bytes, big-endian, signed) and sha256 of each event, by id."""
    sealed_at: Mapped[datetime]
    previous_head: Mapped[str]
    head: Mapped[str] = mapped_column(unique=True)

    __table_args__ = (
        CheckConstraint("number >= 1 AND rows >= 1", name="counts"),
        CheckConstraint("octet_length(leaves) = 40 * rows", name="leaf_per_row"),
    )


class AuditSending(Base):
    """How far heads, or messages, have been sent to syslog: up to this seal's number, or this event's id."""

    __tablename__ = "audit_sendings"

    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None]
    """Why the last attempt failed; None where it did not."""

    __table_args__ = (CheckConstraint("name IN ('heads', 'messages')", name="name"),)
