"""Training runs: asked for, looked at, and what came of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app import queue
from app.commands import training
from app.domain.roles import Caller, Permission
from app.queries import training as queries
from app.queries.jobs import job
from app.records.engine import transaction
from app.told import told
from app.web.api.jobs import Job, as_model
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1/training-runs", route_class=GuardedRoute, tags=["training"])

_Trainer = Annotated[Caller, require(Permission.TRAIN)]


class Order(Input):
    """What to train."""

    snapshot_id: UUID
    mode: Literal["quick", "thorough"] = "quick"
    start: str | None = Field(
        default=None,
        description="sha256 of the bundle to go on from, or `imagenet`; by default the one that reads.",
    )
    budget_minutes: float | None = Field(
        default=None,
        description="How long thorough training may take; needed for it. It ends once its rounds are done.",
    )


class Run(BaseModel):
    """A training run."""

    id: UUID
    page_url: str
    snapshot_id: UUID
    snapshot: str
    mode: str
    start_sha256: str | None = Field(description="Null where it goes on from ImageNet's weights.")
    start: str | None
    budget_minutes: float | None
    occasion: str = Field(description="asked, schedule or reviews")
    state: str = Field(description="waiting, running, done, refused, failed or cancelled")
    said: str | None = Field(description="Why it was refused, failed or cancelled.")
    job_id: UUID
    asked_at: datetime
    asked_by: str
    ended_at: datetime | None
    candidate_sha256: str | None
    figures: dict[str, Any]


class RunAtWork(Run):
    """A training run with how far it is."""

    job: Job
    evaluation: Job | None = Field(
        description="The work that judges the candidate by the snapshot's locked test."
    )


@router.post("", status_code=202, summary="Train", responses=problems_of(400, 401, 403, 404, 422))
def post_run(order: Order, caller: _Trainer) -> Run:
    """A training worker begins it when its turn comes. The same order again while it waits or runs is the
    first one.
    """
    with transaction() as session:
        run_id, job_id = training.ask(
            session,
            snapshot_id=order.snapshot_id,
            mode=order.mode,
            start_sha256=order.start,
            budget_minutes=order.budget_minutes,
            by=caller.actor,
        )
        found = queries.run(session, run_id=run_id)
    queue.ring(queue.LEARN, str(job_id))
    return Run(**_shown(found))


@router.get("", summary="Training runs", responses=problems_of(401, 403))
def get_runs(
    _caller: _Trainer,
    before: Annotated[UUID | None, Query(description="The last run of the page before.")] = None,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[Run]:
    """The newest first."""
    with transaction() as session:
        return [Run(**_shown(run)) for run in queries.runs(session, size=size, before=before)]


@router.get("/{run_id}", summary="One training run", responses=problems_of(401, 403, 404))
def get_run(run_id: UUID, _caller: _Trainer, after: Annotated[int, Query(ge=0)] = 0) -> RunAtWork:
    """With its progress; `after` leaves out what was told before: give the last `told_so_far`."""
    with transaction() as session:
        found = queries.run(session, run_id=run_id)
        work = job(session, job_id=found.job_id)
        evaluation = queries.evaluation_of(session, run=found)
    return RunAtWork(
        **_shown(found),
        job=as_model(work, after=after),
        evaluation=None if evaluation is None else as_model(evaluation),
    )


def _shown(run: queries.RunShown) -> dict[str, Any]:
    return vars(run) | {
        "page_url": f"/training/runs/{run.id}",
        "said": run.said and told(run.said),
        "asked_by": run.asked_by_name,
    }
