"""How far a piece of work is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.records import Job
from app.records.job import AT_WORK


@dataclass(frozen=True, kw_only=True)
class JobShown:
    """A job; `progress` is empty or `{stage, done, of, per_second, seconds_left}`, `told` what it said."""

    id: UUID
    kind: str
    subject_id: UUID
    state: str
    said: str | None
    progress: dict[str, Any]
    told: list[dict[str, Any]]
    attempts: int
    cancel_asked: bool
    asked_at: datetime
    asked_by_name: str
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Nothing more will become of it."""
        return self.ended_at is not None


def job(session: Session, *, job_id: UUID) -> JobShown:
    """Raises NotFound."""
    row = session.get(Job, job_id)
    if row is None:
        raise NotFound("There is no such job.")
    return _shown(row)


def job_of(session: Session, *, subject_id: UUID, kind: str | None = None) -> JobShown | None:
    """The newest on this subject; None where there never was one."""
    asked = select(Job).where(Job.subject_id == subject_id).order_by(Job.sequence.desc()).limit(1)
    if kind is not None:
        asked = asked.where(Job.kind == kind)
    row = session.scalar(asked)
    return None if row is None else _shown(row)


def jobs_at_work(session: Session) -> tuple[JobShown, ...]:
    """Those that wait or run, in their order."""
    rows = session.scalars(select(Job).where(Job.state.in_(AT_WORK)).order_by(Job.sequence))
    return tuple(map(_shown, rows))


def _shown(row: Job) -> JobShown:
    return JobShown(
        id=row.id,
        kind=row.kind,
        subject_id=row.subject_id,
        state=row.state,
        said=row.said,
        progress=row.progress,
        told=row.told,
        attempts=row.attempts,
        cancel_asked=row.cancel_asked_at is not None,
        asked_at=row.asked_at,
        asked_by_name=row.asked_by_name,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
    )
