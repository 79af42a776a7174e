"""Jobs: asked for, claimed by a training worker with a lease, reported on, ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import SYSTEM, Actor
from app.domain.sentence import sentence
from app.errors import Conflict, NotFound
from app.records import BundleExport, Job, SnapshotExport, TrainingRun
from app.records.base import now
from app.records.job import AT_WORK

ATTEMPTS = 3
"""A job whose worker ended in the middle of it goes on so often."""
MOST_TOLD = 2000
"""Lines that a job may tell; what is beyond is left out."""
_ENDED = ("done", "refused", "failed", "cancelled")
_OVER = sentence("The training worker ended in the middle of it, each time it was tried.")
CANCELLED = sentence("It was cancelled.")


@dataclass(frozen=True, kw_only=True)
class JobToDo:
    """A job that is this worker's while the lease lasts."""

    id: UUID
    kind: str
    subject_id: UUID
    attempts: int
    asked_by_name: str
    cancelled: bool
    """Somebody asked for its end before it began."""


def ask(session: Session, *, kind: str, subject_id: UUID, by: Actor) -> UUID:
    """A training worker will do it; ring `queue.LEARN` with the id after the commit."""
    job = Job(kind=kind, subject_id=subject_id, asked_by_name=by.name)
    session.add(job)
    session.flush()
    audit.record(session, action="job.asked", by=by, subject_id=job.id, kind=kind, of=str(subject_id))
    return job.id


def at_work(
    session: Session, subject: type[BundleExport | SnapshotExport | TrainingRun], *which: ColumnElement[bool]
) -> tuple[UUID, UUID] | None:
    """The ids of such a one and of its job, which waits or runs and was not cancelled; None without one."""
    of_it = select(subject.id, Job.id).join(Job, Job.subject_id == subject.id)
    goes_on = Job.state.in_(AT_WORK), Job.cancel_asked_at.is_(None)
    found = session.execute(of_it.where(*which, *goes_on)).first()
    return None if found is None else (found[0], found[1])


def claim(session: Session, *, worker: str, seconds: float) -> JobToDo | None:
    """The oldest that waits is this worker's for so many seconds; None where none does."""
    job = session.scalar(
        select(Job)
        .where(Job.state == "waiting")
        .order_by(Job.sequence)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if job is None:
        return None
    job.state, job.worker = "running", worker
    job.lease_expires_at = now() + timedelta(seconds=seconds)
    job.attempts += 1
    job.begun_at = job.begun_at or now()
    session.flush()
    return JobToDo(
        id=job.id,
        kind=job.kind,
        subject_id=job.subject_id,
        attempts=job.attempts,
        asked_by_name=job.asked_by_name,
        cancelled=job.cancel_asked_at is not None,
    )


def keep(
    session: Session,
    *,
    job_id: UUID,
    worker: str,
    seconds: float,
    progress: dict[str, Any],
    told: list[dict[str, Any]],
) -> bool:
    """The lease is renewed and what was told is on the row; False where the worker is to stop: the job was
    cancelled, or is no longer this worker's.
    """
    job = _own(session, job_id=job_id, worker=worker)
    if job is None or job.cancel_asked_at is not None:
        return False
    job.lease_expires_at = now() + timedelta(seconds=seconds)
    job.progress = progress
    job.told = [*job.told, *told][:MOST_TOLD]
    return True


def end(
    session: Session, *, job_id: UUID, worker: str, state: str, said: str | None = None
) -> tuple[str, str | None] | None:
    """The job is over, with the sentence why where it is not done; gives both as they are on the row, for
    what was cancelled meanwhile and is not done is cancelled. None where it is no longer this worker's.
    """
    job = _own(session, job_id=job_id, worker=worker)
    if job is None:
        return None
    if state != "done" and job.cancel_asked_at is not None:
        state, said = "cancelled", CANCELLED
    _end(session, job, state=state, said=said)
    return state, said


def is_cancelled(session: Session, *, job_id: UUID, worker: str) -> bool:
    """True where it is this worker's and somebody has asked for its end."""
    job = _own(session, job_id=job_id, worker=worker)
    return job is not None and job.cancel_asked_at is not None


def give_back(session: Session, *, job_id: UUID, worker: str) -> bool:
    """A worker that must end has not done it: the job waits again, and the attempt does not count."""
    job = _own(session, job_id=job_id, worker=worker)
    if job is None:
        return False
    job.state, job.worker, job.lease_expires_at = "waiting", None, None
    job.attempts -= 1
    return True


def broke_off(session: Session, *, job_id: UUID, worker: str) -> bool:
    """The child was killed in the middle: the job waits for a further attempt; False after the last."""
    job = _own(session, job_id=job_id, worker=worker)
    if job is None or job.attempts >= ATTEMPTS or job.cancel_asked_at is not None:
        return False
    job.state, job.worker, job.lease_expires_at = "waiting", None, None
    return True


def cancel(session: Session, *, job_id: UUID, by: Actor) -> UUID:
    """A training worker ends it within seconds, also one that still waits; ring `queue.LEARN` with the id
    after the commit. Cancelling twice changes nothing.

    Raises NotFound, and Conflict for one that is over.
    """
    job = session.get(Job, job_id, with_for_update=True)
    if job is None:
        raise NotFound("There is no such job.")
    if job.state in _ENDED and job.state != "cancelled":
        raise Conflict(f"It is over already ({job.state}); there is nothing to cancel.")
    if job.cancel_asked_at is None and job.state != "cancelled":
        job.cancel_asked_at, job.cancel_asked_by_name = now(), by.name
        audit.record(session, action="job.cancel-asked", by=by, subject_id=job.id, kind=job.kind)
    return job.id


def expire(session: Session) -> list[tuple[str, UUID, str, str]]:
    """Jobs whose worker fell silent wait again, or failed where that happened too often.

    Returns of those that are over the kind, the subject, the state and the sentence why.
    """
    over: list[tuple[str, UUID, str, str]] = []
    silent = session.scalars(
        select(Job)
        .where(Job.state == "running", Job.lease_expires_at < func.now())
        .order_by(Job.sequence)
        .with_for_update(skip_locked=True)
    ).all()
    for job in silent:
        if job.cancel_asked_at is None and job.attempts < ATTEMPTS:
            job.state, job.worker, job.lease_expires_at = "waiting", None, None
            continue
        cancelled = job.cancel_asked_at is not None
        state, said = ("cancelled", CANCELLED) if cancelled else ("failed", _OVER)
        _end(session, job, state=state, said=said)
        over.append((job.kind, job.subject_id, state, said))
    return over


def due(session: Session, *, limit: int) -> list[UUID]:
    """Jobs that wait, in their order."""
    return list(
        session.scalars(select(Job.id).where(Job.state == "waiting").order_by(Job.sequence).limit(limit))
    )


def owed(session: Session) -> list[UUID]:
    """Jobs that wait or run."""
    return list(session.scalars(select(Job.id).where(Job.state.in_(AT_WORK))))


def _own(session: Session, *, job_id: UUID, worker: str) -> Job | None:
    job = session.get(Job, job_id, with_for_update=True)
    return job if job is not None and job.state == "running" and job.worker == worker else None


def _end(session: Session, job: Job, *, state: str, said: str | None) -> None:
    job.state, job.said = state, said
    job.worker, job.lease_expires_at = None, None
    job.ended_at = now()
    session.flush()
    audit.record(session, action=f"job.{state}", by=SYSTEM, subject_id=job.id, kind=job.kind)
