"""How far the seals on the audit trail, and the sending of them, lag behind."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.records import AuditEvent, AuditSeal, AuditSending
from app.records.base import now

_LEAST_LATE_SECONDS = 600.0
_LATE_INTERVALS = 10


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How the sending of heads and messages to syslog goes."""

    error: str | None
    """Why the last attempt of one of them failed; None where none did."""
    waiting_seconds: float
    """Since the oldest seal was made whose head was not sent; 0 where all were."""


def late_after(interval: float) -> float:
    """Seconds after which an event that is not sealed, or a seal that is not sent, is late."""
    return max(_LEAST_LATE_SECONDS, _LATE_INTERVALS * interval)


def unsealed_seconds(session: Session) -> float:
    """How long ago the first event happened that is not sealed; 0 where all are."""
    last_id = session.scalar(select(func.max(AuditSeal.last_id)))
    first = select(AuditEvent.at).order_by(AuditEvent.id).limit(1)
    at = session.scalar(first if last_id is None else first.where(AuditEvent.id > last_id))
    return 0.0 if at is None else max((now() - at).total_seconds(), 0.0)


def sending(session: Session) -> Sending:
    """As it is noted; heads of which nothing is noted were never sent."""
    rows = {row.name: row for row in session.scalars(select(AuditSending).order_by(AuditSending.name))}
    sent = rows["heads"].position if "heads" in rows else 0
    first = select(AuditSeal.sealed_at).where(AuditSeal.number > sent).order_by(AuditSeal.number).limit(1)
    sealed_at = session.scalar(first)
    return Sending(
        error=next((row.error for row in rows.values() if row.error is not None), None),
        waiting_seconds=0.0 if sealed_at is None else max((now() - sealed_at).total_seconds(), 0.0),
    )
