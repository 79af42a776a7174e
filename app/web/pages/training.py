"""What there is to train on, training runs, and one of them while it is at work."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import queue
from app.commands import retraining, training
from app.domain.roles import Caller, Permission
from app.errors import BadRequest, Problem
from app.queries import training as queries
from app.queries.bundles import bundles
from app.queries.candidate import candidate
from app.queries.jobs import job
from app.queries.snapshots import COUNTED
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Form, Posted
from app.web.pages.render import page, see
from app.web.pages.training_plots import plots_of

router = APIRouter(prefix="/training", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]
_RECENT = 10
_RUNS = 20


@router.get("")
def overview(request: Request, caller: _Trainer, snapshot: UUID | None = None) -> Response:
    """Datasets, snapshots and runs, and the button that trains; `snapshot` is chosen beforehand."""
    return _overview(request, caller, chosen=snapshot)


@router.get("/runs")
def all_runs(request: Request, caller: _Trainer, before: UUID | None = None) -> Response:
    """Every run, the newest first."""
    with transaction() as session:
        found = queries.runs(session, size=_RUNS + 1, before=before)
    more = found[_RUNS - 1].id if len(found) > _RUNS else None
    return page(request, "training_runs.html", caller=caller, runs=found[:_RUNS], more=more)


@router.post("/runs")
def begin(request: Request, form: Posted, caller: _Trainer) -> Response:
    """A training worker will train; a second press leads to the first run."""
    try:
        with transaction() as session:
            run_id, job_id = training.ask(
                session,
                snapshot_id=form.id("snapshot"),
                mode=form.text("mode"),
                start_sha256=form.text("start") or None,
                budget_minutes=form.number("budget_minutes"),
                by=caller.actor,
            )
    except Problem as problem:
        if problem.status not in (400, 404, 409, 422):
            raise
        return _overview(request, caller, problem=problem, form=form)
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/training/runs/{run_id}")


@router.get("/runs/{run_id}")
def one_run(request: Request, run_id: UUID, caller: _Trainer) -> Response:
    """How far it is, its curves, what came of it, and whether that may be promoted."""
    with transaction() as session:
        run = queries.run(session, run_id=run_id)
        work = job(session, job_id=run.job_id)
        evaluation = queries.evaluation_of(session, run=run)
        judged = None
        if evaluation is not None and evaluation.state == "done" and not run.candidate_reads:
            judged = candidate(session, sha256=str(run.candidate_sha256), to=caller.actor)
    return page(
        request,
        "training_run.html",
        caller=caller,
        run=run,
        job=work,
        evaluation=evaluation,
        judged=judged,
        parts=_told(work.told, "data").get("parts") or run.figures.get("parts"),
        notices=run.figures.get("notices") or _told(work.told, "data").get("notices") or [],
        curve=run.figures.get("learning_curve") or _told(work.told, "learning curve"),
        epochs=_epochs(work.told),
        plots=plots_of(work.told, run.figures.get("learning_curve")),
        held_out=_held_out(run.figures.get("held_out") or _told(work.told, "held out").get("figures")),
    )


def _told(told: list[dict[str, Any]], event: str) -> dict[str, Any]:
    """The last of its kind; empty before."""
    return next((line for line in reversed(told) if line.get("event") == event), {})


def _epochs(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each epoch once, in order; an attempt that went on may tell one again."""
    found = {line["epoch"]: line for line in told if line.get("event") == "epoch"}
    return [found[number] for number in sorted(found)]


def _held_out(figures: object) -> list[tuple[str, str, dict[str, float]]]:
    """Finding, on which images, and the figures."""
    if not isinstance(figures, dict):
        return []
    return [
        (str(finding), str(images), values)
        for finding, sets in figures.items()
        if isinstance(sets, dict)
        for images, values in sets.items()
    ]


def _overview(
    request: Request,
    caller: Caller,
    *,
    chosen: UUID | None = None,
    problem: Problem | None = None,
    form: Form | None = None,
) -> Response:
    with transaction() as session:
        context: dict[str, Any] = {
            "datasets": queries.datasets(session, size=_RECENT),
            "snapshots": queries.snapshots(session, size=_RECENT),
            "runs": queries.runs(session, size=_RECENT),
            "bundles": bundles(session),
            "plan": retraining.plan(session),
            "since": retraining.since_last(session, most=COUNTED + 1),
            "counted": COUNTED,
        }
    if form is not None and chosen is None:
        try:
            chosen = form.id("snapshot")
        except BadRequest:
            chosen = None
    return page(
        request,
        "training.html",
        caller=caller,
        status=problem.status if problem else 200,
        chosen=chosen,
        form=form or Form(()),
        problem=problem,
        least_minutes=training.LEAST_MINUTES,
        most_minutes=training.MOST_MINUTES,
        **context,
    )
