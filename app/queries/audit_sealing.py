"""How far the seals on the audit trail, and the sending of them, lag behind."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.records import AuditEvent, AuditSeal, AuditSending
from app.records.base import now
from app.settings import Settings

_LEAST_LATE_SECONDS = 600.0
_LATE_INTERVALS = 10


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How the sending of heads and messages to syslog goes."""

    error: str | None
    """Why the last attempt of one of them failed; None where none did."""
    waiting_seconds: float
    """Since the oldest seal was made whose head, or one of whose messages, was not sent; 0 where all were."""


def late_after(interval: float) -> float:
    """Seconds after which an event that is not sealed, or a seal that is not sent, is late."""
    return max(_LEAST_LATE_SECONDS, _LATE_INTERVALS * interval)


def unsealed_seconds(session: Session) -> float:
    """How long ago the first event happened that is not sealed; 0 where all are."""
    last_id = session.scalar(select(func.max(AuditSeal.last_id)))
    first = select(AuditEvent.at).order_by(AuditEvent.id).limit(1)
    at = session.scalar(first if last_id is None else first.where(AuditEvent.id > last_id))
    return 0.0 if at is None else max((now() - at).total_seconds(), 0.0)


def sending(session: Session, *, messages: bool) -> Sending:
    """As it is noted, of messages only where the site sends them; heads of which nothing is noted were never
    sent.
    """
    rows = {row.name: row for row in session.scalars(select(AuditSending).order_by(AuditSending.name))}
    if not messages:
        rows.pop("messages", None)
    heads = rows["heads"].position if "heads" in rows else 0
    behind = [select(AuditSeal.sealed_at).where(AuditSeal.number > heads).order_by(AuditSeal.number)]
    if "messages" in rows:
        told = rows["messages"].position
        behind.append(select(AuditSeal.sealed_at).where(AuditSeal.last_id > told).order_by(AuditSeal.last_id))
    since = [at for each in behind if (at := session.scalar(each.limit(1))) is not None]
    return Sending(
        error=next((row.error for row in rows.values() if row.error is not None), None),
        waiting_seconds=max(((now() - at).total_seconds() for at in since), default=0.0),
    )


def unsent_seconds(session: Session, configured: Settings) -> float:
    """How long ago the oldest seal was made that the site's syslog server does not have whole; 0 where it has
    all of them, and where the site has none.
    """
    if configured.audit_syslog is None:
        return 0.0
    return max(sending(session, messages=configured.audit_messages != "off").waiting_seconds, 0.0)
