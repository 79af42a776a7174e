"""Snapshots: looked at before they are taken, and what each holds."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import looks, queue
from app.commands import deidentified, snapshots
from app.domain.review_label import RULE
from app.domain.roles import Caller, Permission
from app.errors import NotFound, Problem, Unprocessable
from app.language import N_
from app.queries import snapshots as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of

router = APIRouter(prefix="/training/snapshots", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]

SPLITS = {
    "train": N_("to train on"),
    "val": N_("to choose by"),
    "test": N_("locked test: to judge by"),
}
SOURCES = {
    "import": N_("imported"),
    "confirmed": N_("confirmed reviews"),
    "corrected": N_("corrected reviews"),
    "read": N_("reviews of studies the network had not read"),
    "adjudicated": N_("adjudicated"),
}


@router.get("")
def list_page(request: Request, caller: _Trainer, look: UUID | None = None) -> Response:
    """The form that takes one; with `look` what that would hold once it is counted; those that were taken."""
    return _list(request, caller, look=look)


@router.post("/looks")
def ask_look(form: Posted, caller: _Trainer) -> Response:
    """The duty worker counts what a snapshot of what was ticked would hold."""
    datasets = _ids(form.texts("dataset"))
    look_id = looks.ask_for_counts(by=caller.actor.id, datasets=datasets, reviews=bool(form.text("reviews")))
    return see(f"/training/snapshots?look={look_id}")


@router.post("")
def take(request: Request, form: Posted, caller: _Trainer) -> Response:
    """A snapshot of what was looked at."""
    try:
        with transaction() as session:
            taken = snapshots.take(
                session,
                blobs=parts_of(request).blobs,
                name=form.text("name"),
                datasets=_ids(form.texts("dataset")),
                reviews=bool(form.text("reviews")),
                by=caller.actor,
            )
    except (NotFound, Unprocessable) as problem:
        look = form.id("look") if form.text("look") else None
        return _list(request, caller, look=look, problem=problem, name=form.text("name"))
    return see(f"/training/snapshots/{taken.id}" + ("" if taken.created else "?known=true"))


@router.get("/{snapshot_id}")
def snapshot_page(request: Request, snapshot_id: UUID, caller: _Trainer, known: bool = False) -> Response:
    """What it holds, its locked test, its exports."""
    with transaction() as session:
        shown = queries.snapshot(session, snapshot_id=snapshot_id)
    return page(
        request,
        "snapshot.html",
        caller=caller,
        snapshot=shown,
        known=known,
        split_names=SPLITS,
        source_names=SOURCES,
    )


@router.post("/{snapshot_id}/exports")
def export(form: Posted, snapshot_id: UUID, caller: _Trainer) -> Response:
    """The training worker takes the patients out."""
    with transaction() as session:
        _, job_id = deidentified.ask(
            session,
            snapshot_id=snapshot_id,
            dates=form.text("dates"),
            burned_in=form.text("burned_in"),
            by=caller.actor,
        )
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/training/snapshots/{snapshot_id}#exports")


def _list(
    request: Request,
    caller: Caller,
    *,
    look: UUID | None = None,
    problem: Problem | None = None,
    name: str = "",
) -> Response:
    """Until somebody has looked, everything is ticked."""
    found = None
    if look is not None:
        try:
            found = looks.find(look, by=caller.actor.id, task=queue.COUNT_SNAPSHOT)
        except NotFound as gone:
            problem = problem or gone
    with transaction() as session:
        takeable = queries.datasets_to_take(session)
        taken, reviewed = queries.snapshots(session), queries.reviewed_studies(session)
    of = found.question.snapshot_of if found else None
    return page(
        request,
        "snapshots.html",
        caller=caller,
        status=problem.status if problem else 200,
        problem=problem,
        takeable=takeable,
        ticked={str(one.id) for one in takeable} if of is None else set(of["datasets"]),
        reviews=of is None or of["reviews"],
        reviewed=reviewed,
        counted=queries.COUNTED,
        look=found,
        name=name,
        snapshots=taken,
        split_names=SPLITS,
        source_names=SOURCES,
        rule=RULE,
    )


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        raise NotFound("There is no such dataset.") from None
