"""View: somebody has seen a study, which is an audit event like any other."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.records import AuditEvent
from app.records.base import now

VIEWED = "study.viewed"
ONE_LOOK = timedelta(minutes=10)
"""The pictures of a study that are fetched within this time of each other are one view."""


def view(session: Session, *, study_id: UUID, by: Actor, via: str) -> None:
    """The view of a study is on record. `via` is page, api or dicomweb."""
    audit.record(session, action=VIEWED, by=by, study_id=study_id, via=via)


def look(session: Session, *, study_id: UUID, by: Actor, via: str) -> None:
    """The view is on record, once for all the pictures that belong to one look at the study."""
    seen = session.scalar(
        select(
            exists().where(
                AuditEvent.study_id == study_id,
                AuditEvent.action == VIEWED,
                AuditEvent.actor_name == by.name,
                AuditEvent.actor_kind == by.kind,
                AuditEvent.at > now() - ONE_LOOK,
            ),
        ),
    )
    if not seen:
        view(session, study_id=study_id, by=by, via=via)
