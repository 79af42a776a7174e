"""Labelled images as they lie in files: what a file is says its content, not its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from app.dicom.stated_facts import header_facts
from app.domain import patient_key
from app.errors import Problem
from models.dataset import read_picture
from models.examples import PICTURE_BEGINS

Grey = NDArray[np.uint8] | NDArray[np.uint16]

_DECODERS = 2
_SECONDS = 60.0
_MEMORY_BYTES = 2 * 1024**3


@contextmanager
def image_reader(
    *, seconds: float = _SECONDS, memory_bytes: int = _MEMORY_BYTES
) -> Iterator[Callable[[Path], Grey]]:
    """A function that gives any labelled file as a grey picture, bone bright; DICOM is decoded in child
    processes.

    The function raises ValueError with a sentence, and OSError.
    """
    pool: DecoderPool | None = None

    def read(path: Path) -> Grey:
        nonlocal pool
        if is_picture(path):
            return read_picture(path)
        try:
            header = read_header(path)
            if pool is None:
                pool = DecoderPool(processes=_DECODERS, seconds=seconds, memory_bytes=memory_bytes)
            return pool.presentation(path, header.media_type, preview_side=0).result().grey
        except Problem as problem:
            raise ValueError(problem.detail) from problem

    try:
        yield read
    finally:
        if pool is not None:
            pool.close()


def is_picture(path: Path) -> bool:
    """True for PNG and JPEG, by their first bytes."""
    with path.open("rb") as file:
        return file.read(len(PICTURE_BEGINS[0])).startswith(PICTURE_BEGINS)


def patient_of_dicom(path: Path) -> str | None:
    """The patient's key of a DICOM file; None for pictures and for files without one."""
    try:
        if is_picture(path):
            return None
        header = read_header(path)
    except (OSError, Problem):
        return None
    return patient_key.of_dicom(patient_id=header.patient_id, issuer=header.issuer_of_patient_id)


def facts_of_dicom(path: Path) -> dict[str, Any]:
    """What the header of a DICOM file states of its picture; nothing for pictures and unreadable files."""
    try:
        return {} if is_picture(path) else header_facts(read_header(path, with_attributes=False))
    except (OSError, Problem):
        return {}
