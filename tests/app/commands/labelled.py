"""Datasets as an inspection leaves them, and snapshots of them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import snapshots
from app.commands.snapshots import Taken
from app.domain.roles import SYSTEM
from app.records import Dataset, DatasetFile, Snapshot
from app.records.base import now


def a_dataset(session: Session, files: Sequence[dict[str, Any]], *, name: str = "Children") -> UUID:
    """A dataset that has been inspected; each file is usable unless it says otherwise."""
    dataset = Dataset(name=name, state="ready", created_by_name="admin", inspected_at=now())
    session.add(dataset)
    session.flush()
    for number, file in enumerate(files):
        path = file.get("path") or f"{name}/{number}.png"
        usual: dict[str, Any] = {
            "path": path,
            "sha256": hashlib.sha256(path.encode()).hexdigest(),
            "byte_size": 1,
            "label": "NORMAL",
            "outcome": "usable",
        }
        session.add(DatasetFile(dataset_id=dataset.id, **usual | file))
    session.flush()
    return dataset.id


def patients(count: int, *, label: str = "PNEUMONIA", prefix: str = "p", **file: Any) -> list[dict[str, Any]]:
    """A file of each of so many patients."""
    return [
        {"path": f"{label}/{prefix}{at}.png", "label": label, "patient_key": f"{prefix}{at}"} | file
        for at in range(count)
    ]


def taken(
    session: Session, blobs: Blobs, *datasets: UUID, reviews: bool = False, name: str = "First"
) -> Taken:
    """A snapshot of them."""
    return snapshots.take(session, blobs=blobs, name=name, datasets=datasets, reviews=reviews, by=SYSTEM)


def rows_of(blobs: Blobs, snapshot: Taken) -> list[dict[str, str]]:
    """The lines of its manifest."""
    return list(csv.DictReader(io.StringIO(blobs.read(snapshot.sha256).decode())))


def splits_of(blobs: Blobs, snapshot: Taken) -> dict[str, str]:
    """The split of each of its patients."""
    return {row["patient_key"]: row["split"] for row in rows_of(blobs, snapshot)}


def record_of(session: Session, snapshot: Taken) -> Snapshot:
    """Its row."""
    return session.scalars(select(Snapshot).where(Snapshot.id == snapshot.id)).one()
