"""Datasets: begun, sent file by file, inspected by a worker, until a snapshot uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from app.commands import audit, jobs
from app.domain.dataset_path import MOST_FILES
from app.domain.roles import SYSTEM, Actor
from app.errors import Conflict, NotFound, TooLarge, Unprocessable
from app.records import Dataset, DatasetFile, Job
from app.records.base import now

_Item = TypeVar("_Item")

INSPECT = "inspect"
"""The kind of job."""
LONGEST_NAME = 100
_ROWS = 2000
_OF_THE_INSPECTION = (
    "label",
    "subtype",
    "patient_key",
    "split",
    "outcome",
    "reason",
    "copy_of",
    "doubt",
    "facts",
    "thumbnail_sha256",
    "brought_label",
)


@dataclass(frozen=True, kw_only=True)
class SentFile:
    """A file of a dataset whose bytes are kept."""

    path: str
    sha256: str
    byte_size: int


def begin(session: Session, *, name: str, by: Actor) -> UUID:
    """A dataset of this name takes files. Raises Unprocessable for a name that is none."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise Unprocessable(f"A dataset has a name of at most {LONGEST_NAME} characters.")
    dataset = Dataset(name=name, created_by_name=by.name)
    session.add(dataset)
    session.flush()
    audit.record(session, action="dataset.begun", by=by, subject_id=dataset.id, name=name)
    return dataset.id


def check_room(session: Session, *, dataset_id: UUID, more: int) -> None:
    """Raises as `receive` would for so many files; asked before their bytes are kept."""
    _open_for_files(session, dataset_id)
    held = session.scalar(
        select(func.count()).select_from(DatasetFile).where(DatasetFile.dataset_id == dataset_id)
    )
    if (held or 0) + more > MOST_FILES:
        raise TooLarge(
            f"A dataset may have at most {MOST_FILES:,} files. Make several datasets; a snapshot can use all."
        )


def receive(session: Session, *, dataset_id: UUID, files: Sequence[SentFile], by: Actor) -> list[bool]:
    """The files are the dataset's; for each whether that changed anything. One sent again changes nothing,
    other bytes of the same path replace what was there. What an inspection found counts no longer.

    Raises NotFound, TooLarge, and Conflict while it is inspected and once a snapshot uses it.
    """
    check_room(session, dataset_id=dataset_id, more=0)
    dataset = _open_for_files(session, dataset_id)
    paths = [file.path for file in files]
    known = {
        row.path: row
        for some in _chunks(paths)
        for row in session.scalars(
            select(DatasetFile).where(DatasetFile.dataset_id == dataset_id, DatasetFile.path.in_(some))
        )
    }
    changed = []
    for file in files:
        row = known.get(file.path)
        changed.append(row is None or row.sha256 != file.sha256)
        if row is None:
            row = known[file.path] = DatasetFile(
                dataset_id=dataset_id, path=file.path, sha256=file.sha256, byte_size=file.byte_size
            )
            session.add(row)
        elif row.sha256 != file.sha256:
            row.sha256, row.byte_size = file.sha256, file.byte_size
            row.decision = row.decided_by_name = row.decided_at = None
            row.label, row.taken_in = row.brought_label, False
    session.flush()
    check_room(session, dataset_id=dataset_id, more=0)
    if any(changed):
        dataset.state, dataset.said = "receiving", None
        audit.record(
            session, action="dataset.files-received", by=by, subject_id=dataset_id, files=sum(changed)
        )
    return changed


def ask_to_inspect(session: Session, *, dataset_id: UUID, by: Actor) -> UUID:
    """A training worker will look at every file; returns the job, for which to ring after the commit.

    While it is inspected the same job is returned. Raises NotFound, Conflict once a snapshot uses it, and
    Unprocessable for an empty one.
    """
    dataset = locked(session, dataset_id)
    if dataset.state == "inspecting":
        job_id = _inspection_at_work(session, dataset_id)
        if job_id is not None:
            return job_id
    check_unused(dataset)
    if not session.scalar(select(exists().where(DatasetFile.dataset_id == dataset_id))):
        raise Unprocessable("There is no file in the dataset yet. Send its folder or its zip first.")
    dataset.state, dataset.said = "inspecting", None
    return jobs.ask(session, kind=INSPECT, subject_id=dataset_id, by=by)


def files_to_inspect(session: Session, *, dataset_id: UUID) -> list[dict[str, Any]]:
    """Of each file path, sha256, byte_size, and what somebody decided. Raises NotFound."""
    if session.get(Dataset, dataset_id) is None:
        raise NotFound("The dataset was abandoned.")
    rows = session.execute(
        select(
            DatasetFile.path,
            DatasetFile.sha256,
            DatasetFile.byte_size,
            DatasetFile.decision,
            DatasetFile.label,
            DatasetFile.brought_label,
            DatasetFile.taken_in,
        )
        .where(DatasetFile.dataset_id == dataset_id)
        .order_by(DatasetFile.path)
    )
    return [
        {
            "path": row.path,
            "sha256": row.sha256,
            "byte_size": row.byte_size,
            "decision": row.decision,
            "decided_label": row.label if _is_relabelled(row) else None,
            "taken_in": row.taken_in,
        }
        for row in rows
    ]


def _is_relabelled(row: Any) -> bool:
    """Whatever was decided after it, as taking it in: an inspection alone leaves the label as brought."""
    return bool(row.decision == "relabelled" or (row.label and row.label != row.brought_label))


def record_inspection(
    session: Session,
    *,
    dataset_id: UUID,
    said: str | None,
    inspection: dict[str, Any],
    files: Iterable[dict[str, Any]],
) -> None:
    """What was found is on the rows, and files that were unpacked have theirs; the dataset is ready, or
    refused with what was said.
    """
    dataset = session.get(Dataset, dataset_id, with_for_update=True)
    if dataset is None:
        return
    rows = session.execute(
        select(DatasetFile.path, DatasetFile.id).where(DatasetFile.dataset_id == dataset_id)
    )
    known = {row.path: row.id for row in rows}
    for some in _chunks(files):
        _store(session, dataset_id, known, some)
    dataset.state = "ready" if said is None else "refused"
    dataset.said = said
    dataset.inspected_at = now()
    dataset.inspection = inspection
    session.flush()
    audit.record(session, action="dataset.inspected", by=SYSTEM, subject_id=dataset_id, state=dataset.state)


def _store(
    session: Session, dataset_id: UUID, known: dict[str, UUID], rows: Sequence[dict[str, Any]]
) -> None:
    new, old = [], []
    for row in rows:
        values = {name: row[name] for name in (*_OF_THE_INSPECTION, "sha256", "byte_size")}
        if row["path"] in known:
            old.append(values | {"id": known[row["path"]]})
        else:
            new.append(values | {"id": uuid4(), "dataset_id": dataset_id, "path": row["path"]})
    if old:
        session.execute(update(DatasetFile), old)
    if new:
        session.execute(insert(DatasetFile), new)


def give_up_inspection(session: Session, *, dataset_id: UUID, cancelled: bool, said: str) -> None:
    """Nothing came of the inspection: it is refused with the sentence, or takes files again if cancelled."""
    dataset = session.get(Dataset, dataset_id, with_for_update=True)
    if dataset is None or dataset.state != "inspecting":
        return
    dataset.state, dataset.said = ("receiving", None) if cancelled else ("refused", said)


def abandon(session: Session, *, dataset_id: UUID, by: Actor) -> None:
    """The dataset and its rows are gone; its bytes stay in the blob folder, where others may share them.

    Raises NotFound, and Conflict once a snapshot uses it and while it is inspected.
    """
    dataset = locked(session, dataset_id)
    if dataset.state == "inspecting":
        raise Conflict("The dataset is being inspected. Cancel that first.")
    check_unused(dataset)
    session.execute(delete(DatasetFile).where(DatasetFile.dataset_id == dataset_id))
    session.delete(dataset)
    audit.record(session, action="dataset.abandoned", by=by, subject_id=dataset_id, name=dataset.name)


def check_unused(dataset: Dataset) -> None:
    """Raises Conflict once a snapshot uses it."""
    if dataset.used_at is not None:
        raise Conflict("A snapshot uses this dataset, so it stays as it is. Begin another one.")


def _inspection_at_work(session: Session, dataset_id: UUID) -> UUID | None:
    return session.scalar(
        select(Job.id)
        .where(Job.subject_id == dataset_id, Job.kind == INSPECT, Job.ended_at.is_(None))
        .order_by(Job.sequence.desc())
        .limit(1)
    )


def locked(session: Session, dataset_id: UUID) -> Dataset:
    """The row, which nobody else changes before the commit; raises NotFound."""
    dataset = session.get(Dataset, dataset_id, with_for_update=True)
    if dataset is None:
        raise NotFound("There is no such dataset.")
    return dataset


def _open_for_files(session: Session, dataset_id: UUID) -> Dataset:
    dataset = locked(session, dataset_id)
    if dataset.state == "inspecting":
        raise Conflict("The dataset is being inspected. Send further files once that is over.")
    check_unused(dataset)
    return dataset


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while some := list(islice(rest, _ROWS)):
        yield some
