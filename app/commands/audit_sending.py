"""Send: how far heads and messages of the audit trail have gone to syslog.

Nothing is locked while a server is talked to: two senders at once send twice, and leave nothing out.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.records import AuditSending
from app.records.base import now

Way = Literal["heads", "messages"]


def position(session: Session, way: Way, *, begins_at: int = 0) -> int:
    """The seal's number, or the event's id, up to which all were sent; `begins_at` at the first call."""
    session.execute(insert(AuditSending).values(name=way, position=begins_at).on_conflict_do_nothing())
    return session.scalars(select(AuditSending.position).where(AuditSending.name == way)).one()


def sent(session: Session, way: Way, *, up_to: int) -> None:
    """Everything up to this one is with the server. It never goes back."""
    row = session.get_one(AuditSending, way, with_for_update=True)
    row.position, row.sent_at, row.error = max(row.position, up_to), now(), None


def failed(session: Session, way: Way, *, error: str) -> None:
    """The attempt failed for this reason; it is tried again."""
    session.get_one(AuditSending, way, with_for_update=True).error = error
