"""How the samples of a stored image lie in its pixel data; told without the codecs that decode them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.dicom.elements import text, whole_number
from app.dicom.header import LARGEST_PIXELS, LARGEST_SIDE
from app.dicom.part10 import OpenedDicom
from app.errors import DecodeFailed

FLOAT_TAGS: dict[int, np.dtype[Any]] = {0x7FE00008: np.dtype("<f4"), 0x7FE00009: np.dtype("<f8")}
"""Float Pixel Data and Double Float Pixel Data."""


@dataclass(frozen=True)
class PixelLayout:
    """The Image Pixel Module (PS3.3 C.7.6.3) as far as it says how to read the samples."""

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: bool


def read_layout(opened: OpenedDicom) -> PixelLayout:
    """Read the module. Raises DecodeFailed when the header describes pixels that cannot be read here."""
    dataset = opened.dataset
    rows, columns = whole_number(dataset, "Rows") or 0, whole_number(dataset, "Columns") or 0
    if not 0 < rows <= LARGEST_SIDE or not 0 < columns <= LARGEST_SIDE or rows * columns > LARGEST_PIXELS:
        raise DecodeFailed(f"The header claims {columns} x {rows} pixels, which is not a radiograph.")
    allocated = whole_number(dataset, "BitsAllocated") or 0
    if opened.pixels is not None and opened.pixels.tag in FLOAT_TAGS:
        allocated = 8 * FLOAT_TAGS[opened.pixels.tag].itemsize
    elif allocated not in (8, 16, 32):
        raise DecodeFailed(f"The pixels have {allocated} bits allocated; 8, 16 and 32 can be read.")
    stored = whole_number(dataset, "BitsStored") or allocated
    if not 1 <= stored <= allocated:
        raise DecodeFailed(
            f"The header claims {stored} bits stored in {allocated} allocated, which cannot be."
        )
    high_bit = whole_number(dataset, "HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    samples = whole_number(dataset, "SamplesPerPixel") or 1
    if samples not in (1, 3):
        raise DecodeFailed(f"The pixels have {samples} samples each; 1 (grey) and 3 (colour) can be read.")
    return PixelLayout(
        rows,
        columns,
        samples,
        (text(dataset, "PhotometricInterpretation") or "MONOCHROME2").upper(),
        allocated,
        stored,
        high_bit,
        (whole_number(dataset, "PixelRepresentation") or 0) == 1,
        (whole_number(dataset, "PlanarConfiguration") or 0) == 1,
    )
