"""What `train` and `evaluate` share: reading labelled files of any kind, and one progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from app.errors import Problem
from models.dataset import read_picture

_PICTURES = {".png", ".jpg", ".jpeg"}
_DECODERS = 2
_SECONDS = 60.0
_MEMORY_BYTES = 2 * 1024**3


@contextmanager
def image_reader() -> Iterator[Callable[[Path], NDArray[np.uint8] | NDArray[np.uint16]]]:
    """A function that gives any labelled file as a grey picture, bone bright; DICOM is decoded in child
    processes.
    """
    pool: DecoderPool | None = None

    def read(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
        nonlocal pool
        if path.suffix.lower() in _PICTURES:
            return read_picture(path)
        try:
            header = read_header(path)
            if pool is None:
                pool = DecoderPool(processes=_DECODERS, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
            return pool.presentation(path, header.media_type, preview_side=0).result().grey
        except Problem as problem:
            raise ValueError(problem.detail) from problem

    try:
        yield read
    finally:
        if pool is not None:
            pool.close()


def patient_of_dicom(path: Path) -> str | None:
    """The PatientID of a DICOM file; None for pictures and for files without one."""
    if path.suffix.lower() in _PICTURES:
        return None
    try:
        return read_header(path).patient_id
    except Problem:
        return None


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage of a long run, called with the stage, how much is done and how much there is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=of)
            bar.update(tasks[stage], completed=done, total=of)

        yield report
