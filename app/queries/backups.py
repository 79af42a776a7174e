"""What is on record of the site's backups."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records import AuditEvent
from app.records.base import now


@dataclass(frozen=True, kw_only=True)
class Backups:
    """How long ago the last backup began, and the last whole one was done; None where there is none."""

    begun_seconds: float | None
    whole_seconds: float | None
    lost: int
    """Stored bytes that the site had lost when the last whole one was made."""


def backups(session: Session) -> Backups:
    """By the audit trail: that of a database brought back knows those from before."""
    begun, whole = (_last(session, action) for action in ("site.backed-up", "site.backup-whole"))
    return Backups(
        begun_seconds=_age(begun),
        whole_seconds=_age(whole),
        lost=int(whole.details.get("lost", 0)) if whole is not None else 0,
    )


def _last(session: Session, action: str) -> AuditEvent | None:
    newest = select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id.desc()).limit(1)
    return session.scalar(newest)


def _age(event: AuditEvent | None) -> float | None:
    return None if event is None else max((now() - event.at).total_seconds(), 0.0)
