"""Audit events as they are told to audit repositories, the oldest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.dicom.audit_message import AuditedEvent
from app.records import AuditEvent, AuditSeal, Study


@dataclass(frozen=True, kw_only=True)
class Span:
    """Events from this moment on and before that one; None leaves that side open."""

    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """On the event."""
        sides = []
        if self.since is not None:
            sides.append(AuditEvent.at >= self.since)
        if self.until is not None:
            sides.append(AuditEvent.at < self.until)
        return sides


def sealed_up_to(session: Session) -> int | None:
    """The id of the newest sealed event; None where nothing is sealed."""
    return session.scalar(select(func.max(AuditSeal.last_id)))


def count(session: Session, *, up_to: int, span: Span) -> int:
    """How many events those are."""
    statement = select(func.count()).select_from(AuditEvent)
    return session.scalar(statement.where(AuditEvent.id <= up_to, *span.conditions())) or 0


def events(
    session: Session,
    *,
    after: int | None,
    up_to: int,
    identified: bool,
    size: int = 500,
    span: Span | None = None,
) -> list[AuditedEvent]:
    """The next events, by id; `identified` with the UID and patient of each study that is still stored."""
    statement = select(AuditEvent).where(AuditEvent.id <= up_to, *(span or Span()).conditions())
    if after is not None:
        statement = statement.where(AuditEvent.id > after)
    rows = session.scalars(statement.order_by(AuditEvent.id).limit(size)).all()
    studies: dict[object, tuple[str, str, str]] = {}
    if identified:
        asked = {row.study_id for row in rows if row.study_id is not None}
        columns = (Study.id, Study.study_instance_uid, Study.patient_id, Study.issuer_of_patient_id)
        for id_, uid, patient_id, issuer in session.execute(select(*columns).where(Study.id.in_(asked))):
            studies[id_] = (uid, patient_id, issuer)
    found = [
        AuditedEvent(
            id=row.id,
            at=row.at,
            action=row.action,
            actor_kind=row.actor_kind,
            actor_id=row.actor_id,
            actor_name=row.actor_name,
            address=row.address,
            study_id=row.study_id,
            subject_id=row.subject_id,
            details=row.details,
            count=row.count,
            identified=studies.get(row.study_id),
        )
        for row in rows
    ]
    session.expunge_all()  # a long trail is read page by page in one session
    return found
