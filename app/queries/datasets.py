"""What datasets there are, and what was found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.records import Dataset, DatasetFile

PAGE = 60
"""Pictures of a contact sheet."""
PATHS = 5000
"""Names in one answer."""
LIKELY_ERROR = 0.5
"""From this doubt on the network that does not know the picture holds another label for more likely."""

_ORDERS = {
    "path": (DatasetFile.path,),
    "doubt": (DatasetFile.doubt.desc().nulls_last(), DatasetFile.path),
}


@dataclass(frozen=True, kw_only=True)
class DatasetListed:
    """A dataset in the list; `usable` pictures are those that a network may be trained on."""

    id: UUID
    name: str
    state: str
    said: str | None
    created_at: datetime
    created_by: str
    used_at: datetime | None
    files: int
    usable: int


@dataclass(frozen=True, kw_only=True)
class ClassCounted:
    """Usable pictures of a class, by split (empty where the dataset names none), and its patients."""

    label: str
    splits: dict[str, int]
    patients: int

    @property
    def pictures(self) -> int:
        """In all splits."""
        return sum(self.splits.values())


@dataclass(frozen=True, kw_only=True)
class DatasetShown(DatasetListed):
    """A dataset with all that was found in it."""

    byte_size: int
    inspected_at: datetime | None
    inspection: dict[str, Any]
    outcomes: dict[str, int]
    """Files of each outcome."""
    classes: tuple[ClassCounted, ...]
    doubtful: int
    """Usable pictures whose label is more likely wrong than right."""
    decided: int
    """Files of which somebody decided something since the inspection."""


@dataclass(frozen=True, kw_only=True)
class FileShown:
    """A file of a dataset."""

    id: UUID
    path: str
    sha256: str
    byte_size: int
    label: str | None
    brought_label: str | None
    patient_key: str | None
    split: str | None
    outcome: str | None
    reason: str | None
    copy_of: str | None
    doubt: float | None
    facts: dict[str, Any]
    thumbnail_sha256: str | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None


def datasets(session: Session) -> tuple[DatasetListed, ...]:
    """All of them, the newest first."""
    counted = (
        select(
            DatasetFile.dataset_id.label("id"),
            func.count().label("files"),
            func.count().filter(DatasetFile.outcome == "usable").label("usable"),
        )
        .group_by(DatasetFile.dataset_id)
        .subquery()
    )
    rows = session.execute(
        select(Dataset, func.coalesce(counted.c.files, 0), func.coalesce(counted.c.usable, 0))
        .outerjoin(counted, counted.c.id == Dataset.id)
        .order_by(Dataset.created_at.desc(), Dataset.id)
    )
    return tuple(
        DatasetListed(**_listed(row), files=int(files), usable=int(usable)) for row, files, usable in rows
    )


def dataset(session: Session, *, dataset_id: UUID) -> DatasetShown:
    """Raises NotFound."""
    row = session.get(Dataset, dataset_id)
    if row is None:
        raise NotFound("There is no such dataset.")
    own = DatasetFile.dataset_id == dataset_id
    files, byte_size, doubtful, decided = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(DatasetFile.byte_size), 0),
            func.count().filter(DatasetFile.outcome == "usable", DatasetFile.doubt > LIKELY_ERROR),
            func.count().filter(DatasetFile.decided_at > (row.inspected_at or row.created_at)),
        ).where(own)
    ).one()
    by_outcome = select(DatasetFile.outcome, func.count()).where(own).group_by(DatasetFile.outcome)
    outcomes = {outcome or "": int(count) for outcome, count in session.execute(by_outcome)}
    return DatasetShown(
        **_listed(row),
        files=int(files),
        usable=outcomes.get("usable", 0),
        byte_size=int(byte_size),
        inspected_at=row.inspected_at,
        inspection=row.inspection,
        outcomes=outcomes,
        classes=_classes(session, dataset_id),
        doubtful=int(doubtful),
        decided=int(decided),
    )


def files(
    session: Session,
    *,
    dataset_id: UUID,
    outcomes: Sequence[str] = (),
    label: str | None = None,
    order: str = "path",
    doubtful: bool = False,
    page: int = 1,
    size: int = PAGE,
) -> tuple[tuple[FileShown, ...], bool]:
    """One page of its files, and whether there are more; `label` as it is counted, in small letters."""
    asked = select(DatasetFile).where(DatasetFile.dataset_id == dataset_id)
    if outcomes:
        asked = asked.where(DatasetFile.outcome.in_(outcomes))
    if label is not None:
        asked = asked.where(func.lower(DatasetFile.label) == label)
    if doubtful:
        asked = asked.where(DatasetFile.doubt.is_not(None), DatasetFile.outcome == "usable")
    asked = asked.order_by(*_ORDERS[order]).offset((page - 1) * size).limit(size + 1)
    rows = session.scalars(asked).all()
    return tuple(map(_shown, rows[:size])), len(rows) > size


def paths(session: Session, *, dataset_id: UUID, after: UUID | None = None) -> list[tuple[UUID, str, int]]:
    """Id, path and size of what was received, in the order of the paths, at most `PATHS` after this file."""
    own = DatasetFile.dataset_id == dataset_id
    asked = select(DatasetFile.id, DatasetFile.path, DatasetFile.byte_size).where(own)
    if after is not None:
        last = select(DatasetFile.path).where(own, DatasetFile.id == after).scalar_subquery()
        asked = asked.where(DatasetFile.path > last)
    asked = asked.order_by(DatasetFile.path).limit(PATHS)
    return [(row.id, row.path, row.byte_size) for row in session.execute(asked)]


def file(session: Session, *, dataset_id: UUID, file_id: UUID) -> FileShown:
    """Raises NotFound."""
    row = session.get(DatasetFile, file_id)
    if row is None or row.dataset_id != dataset_id:
        raise NotFound("There is no such file in the dataset.")
    return _shown(row)


def _classes(session: Session, dataset_id: UUID) -> tuple[ClassCounted, ...]:
    named = func.lower(DatasetFile.label)
    usable = (DatasetFile.dataset_id == dataset_id, DatasetFile.outcome == "usable")
    splits: dict[str, dict[str, int]] = {}
    by_split = (
        select(named, func.coalesce(DatasetFile.split, ""), func.count())
        .where(*usable)
        .group_by(named, DatasetFile.split)
    )
    for label, split, count in session.execute(by_split):
        splits.setdefault(label or "", {})[split] = int(count)
    whose = func.coalesce(DatasetFile.patient_key, DatasetFile.sha256)
    by_patient = select(named, func.count(whose.distinct())).where(*usable).group_by(named)
    patients = {label or "": int(count) for label, count in session.execute(by_patient)}
    return tuple(
        ClassCounted(label=label, splits=counts, patients=patients.get(label, 0))
        for label, counts in sorted(splits.items())
    )


def _listed(row: Dataset) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "said": row.said,
        "created_at": row.created_at,
        "created_by": row.created_by_name,
        "used_at": row.used_at,
    }


def _shown(row: DatasetFile) -> FileShown:
    return FileShown(
        id=row.id,
        path=row.path,
        sha256=row.sha256,
        byte_size=row.byte_size,
        label=row.label,
        brought_label=row.brought_label,
        patient_key=row.patient_key,
        split=row.split,
        outcome=row.outcome,
        reason=row.reason,
        copy_of=row.copy_of,
        doubt=row.doubt,
        facts=row.facts,
        thumbnail_sha256=row.thumbnail_sha256,
        decision=row.decision,
        decided_by=row.decided_by_name,
        decided_at=row.decided_at,
    )
