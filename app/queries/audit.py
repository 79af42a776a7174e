"""The audit trail, the newest first, one index range scan per page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.commands.blinding import hidden_from
from app.commands.second_opinions import verdicts_hidden_from
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.records import AuditEvent, Study

_TELLING = frozenset({"lane", "verdict"})
"""Details that tell what the network said of a study."""
HIDDEN = sentence("hidden until you have signed")


@dataclass(frozen=True, kw_only=True)
class EventShown:
    """One thing that happened."""

    id: int
    at: datetime
    action: str
    actor_kind: str
    actor_name: str
    address: str | None
    study_id: UUID | None
    subject_id: str | None
    details: dict[str, Any]
    count: int


@dataclass(frozen=True, kw_only=True)
class TrailFilter:
    """What is asked for; None leaves that side open. `since` is inclusive, `until` is not."""

    actor: str | None = None
    action: str | None = None
    studies: Sequence[UUID] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class TrailPage:
    """Events, and what the next page continues from, where there is one."""

    events: tuple[EventShown, ...]
    next_before: int | None


def trail(
    session: Session, *, wanted: TrailFilter, to: Actor, before: int | None = None, size: int = 100
) -> TrailPage:
    """The newest `size` events that match, with ids below `before`; of studies that `to` reads blind without
    what tells the network's opinion.

    An action that ends in `.` matches every action that begins so.
    """
    statement = select(AuditEvent).where(*_conditions(wanted)).order_by(AuditEvent.id.desc())
    if before is not None:
        statement = statement.where(AuditEvent.id < before)
    rows = session.scalars(statement.limit(size + 1)).all()
    events = _shown(session, rows[:size], to=to)
    return TrailPage(events=events, next_before=events[-1].id if len(rows) > size else None)


def forward(
    session: Session, *, wanted: TrailFilter, to: Actor, after: int, size: int = 500
) -> tuple[EventShown, ...]:
    """As `trail`, the oldest first: the events that match with ids above `after`."""
    statement = select(AuditEvent).where(*_conditions(wanted), AuditEvent.id > after)
    return _shown(session, session.scalars(statement.order_by(AuditEvent.id).limit(size)).all(), to=to)


def _conditions(wanted: TrailFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.actor is not None:
        conditions.append(AuditEvent.actor_name == wanted.actor)
    if wanted.action is not None:
        begins = wanted.action.endswith(".")
        conditions.append(
            AuditEvent.action.startswith(wanted.action, autoescape=True)
            if begins
            else AuditEvent.action == wanted.action,
        )
    if wanted.studies is not None:
        conditions.append(AuditEvent.study_id.in_(wanted.studies))
    if wanted.since is not None:
        conditions.append(AuditEvent.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditEvent.at < wanted.until)
    return conditions


def _shown(session: Session, rows: Sequence[AuditEvent], *, to: Actor) -> tuple[EventShown, ...]:
    studies = {row.study_id for row in rows if _TELLING & row.details.keys()}
    hidden = or_(hidden_from(session, to), verdicts_hidden_from(to))
    blind = set(session.scalars(select(Study.id).where(Study.id.in_(studies), hidden)))
    return tuple(_event(row, hidden=row.study_id in blind) for row in rows)


def _event(row: AuditEvent, *, hidden: bool) -> EventShown:
    return EventShown(
        id=row.id,
        at=row.at,
        action=row.action,
        actor_kind=row.actor_kind,
        actor_name=row.actor_name,
        address=row.address,
        study_id=row.study_id,
        subject_id=row.subject_id,
        details={
            name: HIDDEN if hidden and name in _TELLING else value for name, value in row.details.items()
        },
        count=row.count,
    )
