"""From a file to what people and networks see: presentation, values, rendered pictures.

Pure functions of a path, run only in the decoder's child processes. All look-ups are folded into one table
with an entry for each code a sample can hold, so that an image costs one pass, whatever its header asks for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.dicom.decoded import PixelValues, Presentation
from app.dicom.image_header import DICOM
from app.dicom.interpret import Interpretation, interpret_dicom, interpret_raster
from app.dicom.resolution import Resolution
from app.dicom.windowing import Window, apply_voi_lut, apply_window, robust_window
from app.domain.sentence import sentence
from app.errors import DecodeFailed

Grey = NDArray[np.uint8]

_IDENTITY = np.arange(256, dtype=np.uint8)
EMPTY_WINDOW = sentence("The window in the header shows nothing of this image; another was chosen.")
PREVIEW_QUALITY = 85
_FEWEST_GREYS = 6
"""A window that shows an image in fewer levels than this, while the image has many more, shows nothing."""


def interpret(path: Path, media_type: str, *, resolution: Resolution | None = None) -> Interpretation:
    """Decode a file of this media type, smaller where `resolution` and its codec allow it.

    Raises DecodeFailed (or what opening the file raises) with a sentence.
    """
    if media_type == DICOM:
        return interpret_dicom(path, resolution=resolution)
    return interpret_raster(path, resolution=resolution)


def present(path: Path, media_type: str, *, preview_side: int, reading_side: int = 0) -> Presentation:
    """Decode, window and preview one image; a `preview_side` of 0 leaves the preview out, a `reading_side`
    other than 0 reduces the picture as `DecoderPool.presentation` says.
    """
    resolution = Resolution(shorter=reading_side, longer=preview_side) if reading_side else None
    interpretation = interpret(path, media_type, resolution=resolution)
    interpretation, brightness = _first_shown(interpretation)
    grey = apply_table(interpretation, brightness)
    preview = b""
    if preview_side > 0:
        preview = encode(
            fit(grey, preview_side, preview_side, last_step=cv2.INTER_LINEAR),
            picture_format="jpeg",
            quality=PREVIEW_QUALITY,
        )
    rows, columns = interpretation.reduced_from or grey.shape
    picture = reduce(grey, reading_side) if reading_side else grey
    return Presentation(picture, preview, rows, columns, interpretation.notices)


def reduce(grey: Grey, least_side: int) -> Grey:
    """The image averaged in square boxes of whole pixels, as large as leave the shorter side `least_side`
    pixels.
    """
    box = min(grey.shape) // least_side
    if box < 2:
        return grey
    # Pillow averages whole boxes in a quarter of the time that OpenCV takes for areas of any size.
    return np.asarray(Image.fromarray(grey).reduce(box), dtype=np.uint8)


def render(
    path: Path,
    media_type: str,
    *,
    window: Window | None,
    viewport: tuple[int, int] | None,
    picture_format: Literal["jpeg", "png"],
    quality: int,
) -> bytes:
    """A picture for people (PS3.18 8.3.5): by `window` or as presented, at most `viewport` (columns, rows)
    large.
    """
    interpretation = interpret(path, media_type)
    if window is None:
        _, brightness = _first_shown(interpretation)
    else:
        brightness = apply_window(interpretation.values, window)
    grey = apply_table(interpretation, brightness)
    if viewport is not None:
        grey = fit(grey, viewport[0], viewport[1])
    return encode(grey, picture_format=picture_format, quality=quality)


def read_values(path: Path, media_type: str) -> PixelValues:
    """The image at full depth with all that a viewer needs to window it, first as `present` does."""
    interpretation, _ = _first_shown(interpret(path, media_type))
    codes, table = interpretation.codes, _told_apart(interpretation)
    unchanged = codes.dtype == np.uint16 and bool(np.array_equal(table, np.arange(len(table))))
    data = codes if unchanged else np.asarray(cv2.LUT(np.ascontiguousarray(codes), table))
    mask = None
    padding = None
    if interpretation.is_padding is not None:
        mask = cv2.LUT(
            np.ascontiguousarray(codes), np.where(interpretation.is_padding, 0, 255).astype(np.uint8)
        )
        padded = table[interpretation.is_padding]
        padding = (int(padded.min()), int(padded.max()))
    minimum, maximum, _, _ = cv2.minMaxLoc(np.ascontiguousarray(data), mask)
    return PixelValues(
        data=data.astype("<u2", copy=False).tobytes(),
        rows=data.shape[0],
        columns=data.shape[1],
        slope=interpretation.slope,
        intercept=interpretation.intercept,
        windows=interpretation.windows,
        photometric="MONOCHROME1" if interpretation.monochrome1 else "MONOCHROME2",
        voi_lut=interpretation.voi_lut,
        minimum=int(minimum),
        maximum=int(maximum),
        padding=padding,
    )


def _told_apart(interpretation: Interpretation) -> NDArray[np.uint16]:
    """The data of each code, none of padding's among the picture's: a Modality LUT may give both the same,
    and what is padding at full depth would be more than is padding in the preview.
    """
    table, is_padding = interpretation.data, interpretation.is_padding
    if is_padding is None:
        return table
    picture, padded = table[~is_padding], table[is_padding]
    if not np.any((picture >= padded.min()) & (picture <= padded.max())):
        return table
    free = np.setdiff1d(np.arange(65536, dtype=np.uint16), picture)
    return np.where(is_padding, free[0], table) if len(free) else table


def _first_shown(interpretation: Interpretation) -> tuple[Interpretation, NDArray[np.float64]]:
    """The image as it is first shown, and its brightness: by the VOI LUT, else by the first window. Where
    that shows nothing, a window of our own comes first and the VOI LUT goes.
    """
    if interpretation.voi_lut is not None:
        brightness = apply_voi_lut(interpretation.values, interpretation.voi_lut)
    else:
        brightness = apply_window(interpretation.values, interpretation.windows[0])
    levels = np.rint(255 * brightness)
    if len(np.unique(levels[interpretation.sampled_counts(stride=16) > 0])) >= _FEWEST_GREYS:
        return interpretation, brightness
    counts = interpretation.sampled_counts()
    present_codes = counts > 0
    few = len(np.unique(levels[present_codes])) < _FEWEST_GREYS
    if not few or np.count_nonzero(present_codes) <= 4 * _FEWEST_GREYS:
        return interpretation, brightness
    window = robust_window(counts, interpretation.values)
    shown = replace(
        interpretation,
        windows=(window, *interpretation.windows),
        voi_lut=None,
        notices=(*interpretation.notices, EMPTY_WINDOW),
    )
    return shown, apply_window(shown.values, window)


def apply_table(interpretation: Interpretation, brightness: NDArray[np.float64]) -> Grey:
    """The image by a table of brightness: 0 to 255, the polarity of MONOCHROME2, padding black."""
    table = np.rint(255 * brightness).astype(np.uint8)
    if interpretation.monochrome1:
        table = 255 - table
    if interpretation.is_padding is not None:
        table[interpretation.is_padding] = 0
    if np.array_equal(table, _IDENTITY):
        return np.asarray(interpretation.codes, dtype=np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(interpretation.codes), table), dtype=np.uint8)


def fit(grey: Grey, columns: int, rows: int, *, last_step: int = cv2.INTER_AREA) -> Grey:
    """The image made smaller to fit, by averaging; never larger, its proportions kept.

    `last_step` is OpenCV's way from less than twice the size: linear takes a sixth of the time of averaging,
    and differs from it by half a grey level on average.
    """
    scale = min(columns / grey.shape[1], rows / grey.shape[0])
    if scale >= 1:
        return grey
    target = max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1)
    while min(grey.shape[1] / target[0], grey.shape[0] / target[1]) >= 2:
        # Halving has a fast path, so the slow general average sees a quarter of the pixels.
        half = grey.shape[1] // 2, grey.shape[0] // 2
        grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.resize(grey, target, interpolation=last_step), dtype=np.uint8)


def encode(grey: Grey, *, picture_format: Literal["jpeg", "png"], quality: int) -> bytes:
    """The image as a JPEG or PNG file."""
    if picture_format == "jpeg":
        done, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    else:
        done, encoded = cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise DecodeFailed("The image cannot be encoded for display.")
    return encoded.tobytes()
