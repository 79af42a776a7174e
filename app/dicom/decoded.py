"""What decoding an image gives: plain data that crosses from the decoder's child processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.dicom.windowing import VoiLut, Window

__all__ = ["PixelValues", "Presentation", "VoiLut", "Window"]


@dataclass(frozen=True)
class Presentation:
    """The radiograph as a person should first see it: bone bright, windowed, padding black.

    `grey` is uint8, (rows, columns) of the image or reduced as was asked for; `preview_jpeg` a JPEG of it no
    larger than was asked for; `rows` and `columns` are the whole image's; `notices` are short sentences on
    what the header left to this program to decide.
    """

    grey: NDArray[np.uint8]
    preview_jpeg: bytes
    rows: int
    columns: int
    notices: tuple[str, ...]


@dataclass(frozen=True)
class PixelValues:
    """The samples at full depth, for a viewer that windows them itself.

    `data` is little-endian uint16, rows * columns * 2 bytes; modality value = data * slope + intercept.
    `windows` are in modality values: the header's, and before them the one this program chose where the
    header has none or what it has shows nothing. `voi_lut`, when given, comes before the windows. `minimum`
    and `maximum` are of the data without padding; `padding` is the lowest and highest datum that is padding.
    MONOCHROME1 means that the lowest value is shown white.
    """

    data: bytes
    rows: int
    columns: int
    slope: float
    intercept: float
    windows: tuple[Window, ...]
    photometric: str
    voi_lut: VoiLut | None
    minimum: int
    maximum: int
    padding: tuple[int, int] | None
