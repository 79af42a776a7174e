"""Snapshots: looked at before they are taken, and what each holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app import queue
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
def list_page(
    request: Request,
    caller: _Trainer,
    dataset: Annotated[list[UUID] | None, Query()] = None,
    reviews: bool = False,
    look: bool = False,
) -> Response:
    """The form that takes one; with `look` what it would hold now; those that were taken."""
    chosen = _Chosen(datasets=dataset, reviews=reviews, look=look)
    return _list(request, caller, chosen)


@router.post("")
def take(request: Request, form: Posted, caller: _Trainer) -> Response:
    """A snapshot of what was chosen."""
    chosen = _Chosen(datasets=_ids(form.texts("dataset")), reviews=bool(form.text("reviews")), look=True)
    try:
        with transaction() as session:
            taken = snapshots.take(
                session,
                blobs=parts_of(request).blobs,
                name=form.text("name"),
                datasets=chosen.datasets or [],
                reviews=chosen.reviews,
                by=caller.actor,
            )
    except (NotFound, Unprocessable) as problem:
        return _list(request, caller, chosen, problem=problem, name=form.text("name"))
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


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """What a snapshot is to be taken of; until somebody has looked, everything is ticked."""

    datasets: list[UUID] | None
    reviews: bool
    look: bool


def _list(
    request: Request, caller: Caller, chosen: _Chosen, *, problem: Problem | None = None, name: str = ""
) -> Response:
    held = None
    with transaction() as session:
        takeable = queries.datasets_to_take(session)
        if chosen.look and (chosen.datasets or chosen.reviews):
            ready = {one.id for one in takeable}
            held = snapshots.preview(
                session,
                blobs=parts_of(request).blobs,
                datasets=[one for one in chosen.datasets or [] if one in ready],
                reviews=chosen.reviews,
            )
        found, reviewed = queries.snapshots(session), queries.reviewed_studies(session)
    ticked = {one.id for one in takeable} if not chosen.look else set(chosen.datasets or [])
    return page(
        request,
        "snapshots.html",
        caller=caller,
        status=problem.status if problem else 200,
        problem=problem,
        takeable=takeable,
        ticked=ticked,
        reviews=chosen.reviews or not chosen.look,
        reviewed=reviewed,
        counted=queries.COUNTED,
        looked=chosen.look,
        held=held,
        name=name,
        snapshots=found,
        split_names=SPLITS,
        source_names=SOURCES,
        rule=RULE,
    )


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError:
        raise NotFound("There is no such dataset.") from None
