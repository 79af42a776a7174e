"""Datasets: labelled radiographs sent file by file, inspected, looked at."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app import queue
from app.commands import dataset_labels, datasets
from app.domain.roles import Caller, Permission
from app.errors import Unprocessable, UnsupportedMediaType
from app.queries import datasets as queries
from app.queries.jobs import job_of
from app.records.engine import transaction
from app.told import told
from app.web.api.dataset_shapes import (
    FILES,
    Class,
    Dataset,
    Decision,
    File,
    Files,
    NewDataset,
    Path,
    Paths,
    Received,
    WholeDataset,
    answer_of,
    file_of,
    listed,
)
from app.web.api.jobs import as_model
from app.web.auth import GuardedRoute, require
from app.web.datasets import receive_all
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.upload import FORM, boundary_in, content_type_of, receiving_parts

router = APIRouter(prefix="/api/v1/datasets", route_class=GuardedRoute, tags=["training"])

_Trainer = Annotated[Caller, require(Permission.TRAIN)]


@router.get("", summary="All datasets", responses=problems_of(401, 403))
def list_datasets(caller: _Trainer) -> list[Dataset]:  # noqa: ARG001
    """The newest first."""
    with transaction() as session:
        return [Dataset(**listed(one)) for one in queries.datasets(session)]


@router.post("", status_code=201, summary="Begin a dataset", responses=problems_of(401, 403))
def begin(new: NewDataset, caller: _Trainer) -> WholeDataset:
    """Send its files next, then have it inspected."""
    with transaction() as session:
        return _shown(session, datasets.begin(session, name=new.name, by=caller.actor))


@router.get("/{dataset_id}", summary="One dataset", responses=problems_of(401, 403, 404))
def read(dataset_id: UUID, caller: _Trainer) -> WholeDataset:  # noqa: ARG001
    """Counts are of this moment; warnings are of the last inspection."""
    with transaction() as session:
        return _shown(session, dataset_id)


@router.delete(
    "/{dataset_id}",
    status_code=204,
    response_class=Response,
    summary="Abandon a dataset that no snapshot uses",
    responses=problems_of(401, 403, 404, 409),
)
def abandon(dataset_id: UUID, caller: _Trainer) -> Response:
    """Its rows are gone. Bytes stay in the blob folder: studies and other datasets may share them."""
    with transaction() as session:
        datasets.abandon(session, dataset_id=dataset_id, by=caller.actor)
    return Response(status_code=204)


@router.post(
    "/{dataset_id}/files",
    summary="Send files of a dataset",
    openapi_extra=FILES,
    responses=problems_of(401, 403, 404, 409, 413, 415),
)
async def post_files(request: Request, dataset_id: UUID, caller: _Trainer) -> Received:
    """Answers once every good file is fsynced and committed; one bad file refuses only itself.

    The same file again is `known`; another one of the same path replaces it. A request may have 5,000 files.
    """
    kind, options = content_type_of(request)
    if kind != FORM:
        raise UnsupportedMediaType("Send multipart/form-data with the files in the field `files`.")
    blobs = parts_of(request).blobs
    async with receiving_parts(request, blobs, boundary=boundary_in(options), form=True) as received:
        if not received.files:
            raise Unprocessable("There is no file in the field `files`. Send at least one.")
        said = await run_in_threadpool(
            receive_all, received, dataset_id=dataset_id, blobs=blobs, by=caller.actor
        )
    return Received(files=[answer_of(one) for one in said])


@router.get("/{dataset_id}/received", summary="What is there already", responses=problems_of(401, 403, 404))
def received_so_far(
    dataset_id: UUID,
    caller: _Trainer,  # noqa: ARG001
    after: UUID | None = None,
) -> Paths:
    """For a sender that was interrupted: path and size of what need not be sent again, 5,000 at a time.

    `after` is what the answer before says; no path, as proxies keep addresses and paths may name patients.
    """
    with transaction() as session:
        queries.dataset(session, dataset_id=dataset_id)
        found = queries.paths(session, dataset_id=dataset_id, after=after)
    return Paths(
        files=[Path(path=path, byte_size=size) for _, path, size in found],
        after=found[-1][0] if len(found) == queries.PATHS else None,
    )


@router.get("/{dataset_id}/files", summary="Files and their outcomes", responses=problems_of(401, 403, 404))
def list_files(
    dataset_id: UUID,
    caller: _Trainer,  # noqa: ARG001
    outcome: Annotated[str | None, Query(max_length=30)] = None,
    label: Annotated[str | None, Query(max_length=100)] = None,
    by_doubt: bool = False,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Files:
    """One page of files in the order of their paths, or those first whose label is most doubtful."""
    with transaction() as session:
        queries.dataset(session, dataset_id=dataset_id)
        found, more = queries.files(
            session,
            dataset_id=dataset_id,
            outcomes=[outcome] if outcome else [],
            label=label.lower() if label else None,
            order="doubt" if by_doubt else "path",
            page=page,
        )
    return Files(files=[file_of(one) for one in found], more=more)


@router.post(
    "/{dataset_id}/inspect",
    status_code=202,
    summary="Have a dataset inspected",
    responses=problems_of(401, 403, 404, 409),
)
def inspect(dataset_id: UUID, caller: _Trainer) -> WholeDataset:
    """A training worker looks at every file; `job` says how far it is."""
    with transaction() as session:
        job_id = datasets.ask_to_inspect(session, dataset_id=dataset_id, by=caller.actor)
        shown = _shown(session, dataset_id)
    queue.ring(queue.LEARN, str(job_id))
    return shown


@router.post(
    "/{dataset_id}/files/{file_id}/decision",
    summary="Set a label right, or leave a file out",
    responses=problems_of(401, 403, 404, 409),
)
def decide(dataset_id: UUID, file_id: UUID, decision: Decision, caller: _Trainer) -> File:
    """The label as it was brought stays on the file, with who decided."""
    if (decision.label is None) != decision.left_out:
        raise Unprocessable("Send either `label` or `left_out`.")
    with transaction() as session:
        if decision.label is not None:
            dataset_labels.set_label(
                session, dataset_id=dataset_id, file_id=file_id, label=decision.label, by=caller.actor
            )
        else:
            dataset_labels.leave_out(session, dataset_id=dataset_id, file_id=file_id, by=caller.actor)
        return file_of(queries.file(session, dataset_id=dataset_id, file_id=file_id))


def _shown(session: Any, dataset_id: UUID) -> WholeDataset:
    found = queries.dataset(session, dataset_id=dataset_id)
    job = job_of(session, subject_id=dataset_id, kind=datasets.INSPECT)
    return WholeDataset(
        **listed(found),
        byte_size=found.byte_size,
        inspected_at=found.inspected_at,
        outcomes=found.outcomes,
        classes=[
            Class(label=one.label, pictures=one.pictures, patients=one.patients, splits=one.splits)
            for one in found.classes
        ],
        warnings=[told(warning) for warning in found.inspection.get("warnings", [])],
        crossing=found.inspection.get("crossing", []),
        likely_label_errors=found.doubtful,
        job=None if job is None else as_model(job),
    )
