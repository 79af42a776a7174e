"""Inspections, a kind of job: what a worker that looks at a dataset is told, and what it found on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import datasets, registry
from app.settings import settings


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """All its files, with what was decided of them, and the bundle that reads now.

    Raises NotFound for a dataset that was abandoned.
    """
    configuration = settings()
    active = registry.active_bundle(session)
    return {
        "files": datasets.files_to_inspect(session, dataset_id=subject_id),
        "blobs": str(configuration.blob_folder),
        "bundle": None if active is None else str(blobs.path(active)),
        "features": str(configuration.home / "features"),
        "decoders": {
            "seconds": configuration.decoder_timeout,
            "memory_bytes": configuration.decoder_memory,
        },
        "limits": {"file_bytes": configuration.max_file_bytes},
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:  # noqa: ARG001
    """The dataset is ready, or refused with the reason; each file has its outcome."""
    datasets.record_inspection(
        session,
        dataset_id=subject_id,
        said=answer["said"],
        inspection={
            name: answer[name] for name in ("warnings", "crossing", "crossing_patients", "doubted", "network")
        },
        files=_rows(Path(answer["results"])),
    )


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """The dataset is refused with the sentence; after a cancelled inspection it takes files again."""
    datasets.give_up_inspection(session, dataset_id=subject_id, cancelled=state == "cancelled", said=said)


def _rows(results: Path) -> Iterator[dict[str, Any]]:
    with results.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
