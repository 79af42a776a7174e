"""Jobs of the training worker: how far they are, and their end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app import queue
from app.commands import jobs
from app.domain.roles import Caller, Permission
from app.queries.jobs import JobShown, job
from app.records.engine import transaction
from app.told import told
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1/jobs", route_class=GuardedRoute, tags=["training"])

_Trainer = Annotated[Caller, require(Permission.TRAIN)]


class Progress(BaseModel):
    """How much of a stage is done."""

    stage: str
    done: int
    of: int
    per_second: float
    seconds_left: float | None


class Job(BaseModel):
    """One piece of work of the training worker."""

    id: UUID
    kind: str
    subject_id: UUID
    state: str = Field(description="waiting, running, done, refused, failed or cancelled")
    said: str | None = Field(description="Why it was refused, failed or cancelled.")
    progress: Progress | None
    told: list[dict[str, Any]] = Field(description="What it said on its way, from `after` on.")
    told_so_far: int
    attempts: int
    cancel_asked: bool
    asked_at: datetime
    asked_by: str
    begun_at: datetime | None
    ended_at: datetime | None


@router.get("/{job_id}", responses=problems_of(401, 403, 404))
def read(caller: _Trainer, job_id: UUID, after: Annotated[int, Query(ge=0)] = 0) -> Job:  # noqa: ARG001
    """How far the job is. `after` leaves out what was told before: give the last `told_so_far`."""
    with transaction() as session:
        return as_model(job(session, job_id=job_id), after=after)


@router.post("/{job_id}/cancel", status_code=202, responses=problems_of(401, 403, 404, 409))
def cancel(caller: _Trainer, job_id: UUID) -> Job:
    """The training worker ends it within seconds. Cancelling twice changes nothing."""
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=caller.actor)
        found = as_model(job(session, job_id=job_id))
    queue.ring(queue.LEARN, str(job_id))
    return found


def as_model(shown: JobShown, *, after: int = 0) -> Job:
    """The job as it is told; sentences in the reader's language."""
    return Job(
        id=shown.id,
        kind=shown.kind,
        subject_id=shown.subject_id,
        state=shown.state,
        said=shown.said and told(shown.said),
        progress=Progress(**shown.progress | {"stage": told(shown.progress["stage"])})
        if shown.progress
        else None,
        told=shown.told[after:],
        told_so_far=len(shown.told),
        attempts=shown.attempts,
        cancel_asked=shown.cancel_asked,
        asked_at=shown.asked_at,
        asked_by=shown.asked_by_name,
        begun_at=shown.begun_at,
        ended_at=shown.ended_at,
    )
