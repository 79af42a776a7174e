"""What a screening worker does with images, told for their traces; nothing is noted where nobody is told."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from uuid import UUID

from app import tracing
from app.commands.screening import StudyToScreen
from app.dicom.decoded import Presentation
from app.domain.reading import ImageRead
from app.tracing import Fact
from worker.network import Loaded
from worker.screen import Batch, ImageFile, ImageScreened


def claimed(studies: Iterable[StudyToScreen], *, began: int) -> None:
    """The studies have waited, and are claimed by this worker."""
    if not tracing.is_on():
        return
    ended = tracing.now()
    for study in studies:
        facts: dict[str, Fact] = {"study": str(study.study_id), "attempt": study.attempt}
        for image in study.images:
            waited = (tracing.at(image.due_since), tracing.at(study.claimed_at))
            tracing.tell("wait", [image.image_id], step=waited, facts=facts)
            tracing.tell("claim", [image.image_id], step=(began, ended), facts=facts)


def decoding(batch: Batch) -> Batch:
    """The batch, of which each image's decoding is told once it is over."""
    if tracing.is_on():
        began = tracing.now()
        for file, future in zip(batch.files, batch.decodings, strict=True):
            if future is not None:
                future.add_done_callback(lambda done, file=file: _decoded(done, file, began))  # type: ignore[misc]
    return batch


def _decoded(future: Future[Presentation], file: ImageFile, began: int) -> None:
    if future.cancelled() or file.image_id is None:
        return
    facts: dict[str, Fact] = {"outcome": "decoded" if future.exception() is None else "failed"}
    if file.header.rows and file.header.columns:
        facts |= {"rows": file.header.rows, "columns": file.header.columns}
    tracing.tell("decode", [file.image_id], step=(began, tracing.now()), facts=facts)


def screen(batch: Batch, loaded: Loaded) -> list[ImageScreened]:
    """As `Batch.screen`, once nothing decodes any more."""
    began = tracing.now()
    results = batch.screen()
    if tracing.is_on():
        read = _ids(batch.for_network())
        step = (began, tracing.now())
        facts: dict[str, Fact] = {
            "bundle": loaded.sha256,
            "runtime": loaded.bundle.runtime,
            "images": len(read),
        }
        tracing.tell("network", read, step=step, facts=facts)
    return results


def recorded(read: Iterable[tuple[StudyToScreen, list[ImageRead]]], *, loaded: Loaded, began: int) -> None:
    """The readings are committed."""
    if not tracing.is_on():
        return
    ended = tracing.now()
    for study, images in read:
        for image in images:
            facts: dict[str, Fact] = {
                "study": str(study.study_id),
                "attempt": study.attempt,
                "bundle": loaded.sha256,
                "outcome": image.outcome.value,
            }
            tracing.tell("record", [image.image_id], step=(began, ended), facts=facts)


def postponed(study: StudyToScreen, *, began: int) -> None:
    """The study was given up for this time."""
    facts: dict[str, Fact] = {"study": str(study.study_id), "attempt": study.attempt}
    tracing.tell("postpone", ids_of(study), step=(began, tracing.now()), facts=facts)


def ids_of(study: StudyToScreen) -> list[UUID]:
    """Its images, of each of which there is a trace."""
    return [image.image_id for image in study.images]


def _ids(files: Iterable[ImageFile]) -> list[UUID]:
    return [file.image_id for file in files if file.image_id is not None]
