"""Datasets: dropped, inspected, looked at class by class, set right."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse, Response

from app import queue
from app.commands import dataset_labels, datasets
from app.domain.dataset_path import MOST_FILES
from app.domain.roles import Caller, Permission
from app.errors import Conflict, NotFound, Problem, Unprocessable
from app.language import N_
from app.queries import datasets as queries
from app.queries.datasets import DatasetShown
from app.queries.jobs import job_of
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import page, see
from app.web.parts import parts_of

router = APIRouter(prefix="/training/datasets", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]

STATES = {
    "receiving": N_("receives files"),
    "inspecting": N_("being inspected"),
    "ready": N_("ready"),
    "refused": N_("cannot be used"),
}
OUTCOMES = {
    "usable": N_("usable"),
    "duplicate": N_("copies of others"),
    "contradicting": N_("contradicting labels"),
    "withheld": N_("withheld from the network"),
    "unreadable": N_("unreadable"),
    "not-an-image": N_("no image"),
    "unlabelled": N_("in no class"),
    "left-out": N_("left out"),
    "archive": N_("unpacked zips"),
    "manifest": N_("manifests"),
    "": N_("not yet inspected"),
}
SPLITS = {
    "train": N_("to train on"),
    "val": N_("to choose by"),
    "test": N_("to test on"),
    "": N_("no split named"),
}
_FIRST = 12
"""Pictures of each class, and doubtful ones, on the dataset's own page."""


@router.get("")
def list_page(request: Request, caller: _Trainer) -> Response:
    """All datasets, and where to drop another."""
    with transaction() as session:
        found = queries.datasets(session)
    return page(
        request,
        "datasets.html",
        caller=caller,
        datasets=found,
        states=STATES,
        largest=settings().max_file_bytes,
        most=MOST_FILES,
    )


@router.get("/{dataset_id}")
def dataset_page(request: Request, dataset_id: UUID, caller: _Trainer) -> Response:
    """What was found in it, its warnings, doubtful labels, and the beginning of each class."""
    return _page(request, dataset_id, caller)


@router.get("/{dataset_id}/files")
def files_page(
    request: Request,
    dataset_id: UUID,
    caller: _Trainer,
    label: Annotated[str | None, Query(max_length=100)] = None,
    outcome: Annotated[str | None, Query(max_length=30)] = None,
    doubtful: bool = False,
    number: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """A contact sheet: of a class, of an outcome, or of the doubtful labels, page by page."""
    if outcome is None and not doubtful:
        outcome = "usable"
    with transaction() as session:
        shown = queries.dataset(session, dataset_id=dataset_id)
        files, more = queries.files(
            session,
            dataset_id=dataset_id,
            outcomes=[] if outcome is None else [outcome],
            label=label,
            order="doubt" if doubtful else "path",
            doubtful=doubtful,
            page=number,
        )
    return page(
        request,
        "dataset_files.html",
        caller=caller,
        dataset=shown,
        files=files,
        more=more,
        number=number,
        label=label,
        outcome=outcome,
        doubtful=doubtful,
        outcomes=OUTCOMES,
        splits=SPLITS,
    )


@router.get("/{dataset_id}/files/{file_id}/picture")
def picture(request: Request, dataset_id: UUID, file_id: UUID, caller: _Trainer) -> Response:  # noqa: ARG001
    """The small picture of a file, as a JPEG that never changes."""
    with transaction() as session:
        file = queries.file(session, dataset_id=dataset_id, file_id=file_id)
    if file.thumbnail_sha256 is None:
        raise NotFound("There is no picture of this file.")
    return FileResponse(
        parts_of(request).blobs.path(file.thumbnail_sha256),
        media_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=86400"},
    )


@router.post("/{dataset_id}/inspect")
def inspect(request: Request, dataset_id: UUID, caller: _Trainer) -> Response:
    """A training worker will look at every file."""
    try:
        with transaction() as session:
            job_id = datasets.ask_to_inspect(session, dataset_id=dataset_id, by=caller.actor)
    except (Conflict, Unprocessable) as problem:
        return _page(request, dataset_id, caller, problem=problem)
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/training/datasets/{dataset_id}")


@router.post("/{dataset_id}/abandon")
def abandon(request: Request, dataset_id: UUID, caller: _Trainer) -> Response:
    """The dataset is gone; pressed again, it is gone already."""
    try:
        with suppress(NotFound), transaction() as session:
            datasets.abandon(session, dataset_id=dataset_id, by=caller.actor)
    except Conflict as problem:
        return _page(request, dataset_id, caller, problem=problem)
    return see("/training/datasets")


@router.post("/{dataset_id}/settle")
def settle(request: Request, dataset_id: UUID, form: Posted, caller: _Trainer) -> Response:
    """Withheld pictures are taken in, or patients kept in one split; then it is inspected again."""
    try:
        with transaction() as session:
            if form.text("what") == "withheld":
                dataset_labels.take_in_withheld(session, dataset_id=dataset_id, by=caller.actor)
            elif form.text("what") == "crossing":
                dataset_labels.keep_in_one_split(session, dataset_id=dataset_id, by=caller.actor)
            else:
                raise Unprocessable("There is nothing of this name to settle.")
            job_id = datasets.ask_to_inspect(session, dataset_id=dataset_id, by=caller.actor)
    except (Conflict, Unprocessable) as problem:
        return _page(request, dataset_id, caller, problem=problem)
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/training/datasets/{dataset_id}")


@router.post("/{dataset_id}/files/{file_id}")
def decide(request: Request, dataset_id: UUID, file_id: UUID, form: Posted, caller: _Trainer) -> Response:
    """The label is set right, or the file left out."""
    try:
        with transaction() as session:
            if form.text("left_out"):
                dataset_labels.leave_out(session, dataset_id=dataset_id, file_id=file_id, by=caller.actor)
            else:
                dataset_labels.set_label(
                    session,
                    dataset_id=dataset_id,
                    file_id=file_id,
                    label=form.text("label"),
                    by=caller.actor,
                )
    except (Conflict, Unprocessable) as problem:
        return _page(request, dataset_id, caller, problem=problem)
    back = form.text("back")
    own = f"/training/datasets/{dataset_id}"
    return see(back if back.startswith(f"{own}/files?") else f"{own}#doubtful")


def _page(request: Request, dataset_id: UUID, caller: Caller, *, problem: Problem | None = None) -> Response:
    with transaction() as session:
        shown = queries.dataset(session, dataset_id=dataset_id)
        job = job_of(session, subject_id=dataset_id, kind=datasets.INSPECT)
        sheets = [
            (
                one,
                queries.files(
                    session, dataset_id=dataset_id, outcomes=["usable"], label=one.label, size=_FIRST
                )[0],
            )
            for one in shown.classes
        ]
        doubtful = queries.files(session, dataset_id=dataset_id, order="doubt", doubtful=True, size=_FIRST)[0]
    return page(
        request,
        "dataset.html",
        caller=caller,
        status=200 if problem is None else problem.status,
        dataset=shown,
        job=job,
        sheets=sheets,
        doubtful=doubtful,
        problem=problem,
        states=STATES,
        outcomes=OUTCOMES,
        splits=SPLITS,
        bars=_bars(shown),
        largest=settings().max_file_bytes,
        most=MOST_FILES,
    )


def _bars(shown: DatasetShown) -> list[tuple[str, list[tuple[str, float, float]]]]:
    """Of each class its name and bars: split, where it begins and how long it is, of 100 for the largest."""
    most = max((one.pictures for one in shown.classes), default=0) or 1
    bars = []
    for one in shown.classes:
        begins, parts = 0.0, []
        for split in SPLITS:
            if split in one.splits:
                length = 100 * one.splits[split] / most
                parts.append((split, round(begins, 2), round(length, 2)))
                begins += length
        bars.append((one.label, parts))
    return bars
