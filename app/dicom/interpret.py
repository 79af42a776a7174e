"""Give stored samples their meaning: one table from each code a sample can hold to its modality value.

PS3.3 C.7.6.3 (bits, sign, photometric interpretation), C.11.1 (modality), C.7.5.1.1.2 (padding), C.7.9
(palette).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.dicom.frames import frame_count
from app.dicom.part10 import open_dicom
from app.dicom.raster import JPEG, PNG, read_raster_header
from app.dicom.resolution import JPEG_MARGIN, Resolution
from app.dicom.stored import HALVED_JPEG, Samples, StoredPixels, read_stored
from app.dicom.tables import palette_brightness, read_modality, read_padding, read_voi_lut, read_windows
from app.dicom.windowing import VoiLut, Window, full_range_window, robust_window
from app.domain.sentence import sentence
from app.errors import DecodeFailed

NO_WINDOW = sentence("The header has no window; one was chosen from the grey levels.")
LOW_BITS = 8
"""Images of no more bits were made for display and are shown as they are."""

_MEAN_LITTLE_AVERAGED = ("PixelPaddingValue", "ModalityLUTSequence")
"""Where the header has one of these, an average of stored values may stand for something else altogether."""
_FEWEST_SAMPLED = 64
"""Rows and columns that are enough to choose a window by."""


@dataclass(frozen=True)
class Interpretation:
    """`codes` is uint8 or uint16 (rows, columns); `values[code]` is its modality value, `is_padding[code]`
    says what is background. `data[code]` is the non-negative integer that stands for it at full depth: value
    = data * slope + intercept. Where the codec made the image smaller, `reduced_from` is what rows and
    columns the whole one has.
    """

    codes: Samples
    values: NDArray[np.float64]
    data: NDArray[np.uint16]
    slope: float
    intercept: float
    is_padding: NDArray[np.bool_] | None
    monochrome1: bool
    windows: tuple[Window, ...]
    voi_lut: VoiLut | None
    notices: tuple[str, ...] = ()
    reduced_from: tuple[int, int] | None = None

    def sampled_counts(self, *, stride: int = 4) -> NDArray[np.int64]:
        """How often each code occurs in every `stride`-th row and column, padding not counted; on a closer
        grid where the image is small.
        """
        stride = max(min(stride, min(self.codes.shape) // _FEWEST_SAMPLED), 1)
        counts = np.bincount(self.codes[::stride, ::stride].reshape(-1), minlength=len(self.values))
        if self.is_padding is not None:
            counts = np.where(self.is_padding, 0, counts)
        return np.asarray(counts, dtype=np.int64)


def interpret_dicom(path: Path, *, resolution: Resolution | None = None) -> Interpretation:
    """Decode and interpret a DICOM file, smaller where `resolution` and its codec allow it. Raises
    DecodeFailed with a sentence.
    """
    with open_dicom(path) as opened:
        frames = frame_count(opened)
        if frames > 1:
            raise DecodeFailed(f"The image has {frames} frames; this program reads single radiographs.")
        dataset, big_endian = opened.dataset, opened.big_endian
        if any(keyword in dataset for keyword in _MEAN_LITTLE_AVERAGED):
            resolution = None
        stored = read_stored(opened, path, resolution=resolution)
        if stored.layout.photometric == "PALETTE COLOR":
            return _interpret_palette(stored, dataset, big_endian=big_endian)
        if stored.samples.ndim == 3 or stored.layout.samples == 3:
            return _as_is(_brightness(stored.samples))
        codes, meant = _code_table(stored)
        table, slope, intercept = read_modality(dataset, signed=stored.signed, big_endian=big_endian)
        padding = read_padding(dataset, signed=stored.signed, allocated=stored.layout.allocated)
        is_padding = None if padding is None else (meant >= padding[0]) & (meant <= padding[1])
        if table is not None:
            values = table(meant)
            data, slope, intercept = values, 1.0, 0.0
        elif stored.bits > 16:
            # Codes are already scaled to 16 bits: they are the data.
            step = float(meant[1] - meant[0])
            values = meant * slope + intercept
            data, slope, intercept = np.arange(65536.0), slope * step, slope * float(meant[0]) + intercept
        else:
            low = -(2 ** (stored.bits - 1)) if stored.signed else 0
            values = meant * slope + intercept
            data, intercept = meant - low, intercept + slope * low
        interpretation = Interpretation(
            codes=codes,
            values=values,
            data=data.astype(np.uint16),
            slope=slope,
            intercept=intercept,
            is_padding=is_padding if is_padding is not None and is_padding.any() else None,
            monochrome1=stored.layout.photometric == "MONOCHROME1",
            windows=read_windows(dataset),
            voi_lut=read_voi_lut(dataset, signed=bool(values.min() < 0), big_endian=big_endian),
            reduced_from=stored.reduced_from,
        )
    if not interpretation.windows and interpretation.voi_lut is None:
        return _with_default_window(interpretation, as_is=stored.bits <= LOW_BITS and table is None)
    return interpretation


def native_frame(path: Path, number: int) -> bytes:
    """Frame `number` (from 1) without compression: little endian, at the bits allocated, colour as RGB by
    pixel.

    Grey samples keep their stored values, foreign bits taken away. Raises DecodeFailed with a sentence.
    """
    with open_dicom(path) as opened:
        stored = read_stored(opened, path, frame=number)
    sample = np.dtype(f"<u{stored.layout.allocated // 8}")
    if stored.samples.ndim == 3 or stored.samples.dtype.kind == "f":
        return stored.samples.tobytes()
    if stored.samples.dtype.itemsize > 2:
        return _meaning(stored.samples, stored).astype(sample).tobytes()
    codes, meant = _code_table(stored)
    table = meant.astype(np.int64).astype(np.uint16)
    return np.asarray(cv2.LUT(np.ascontiguousarray(codes), table)).astype(sample).tobytes()


def interpret_raster(path: Path, *, resolution: Resolution | None = None) -> Interpretation:
    """Decode a PNG or JPEG to brightness, turned as its EXIF says, a JPEG smaller where `resolution` allows
    it. Raises DecodeFailed with a sentence.

    16-bit files are shown over the range of the fewest bits that hold their largest value: 4095 is white in
    an image whose maximum is 4000.
    """
    header = read_raster_header(path)
    flags, reduced_from = cv2.IMREAD_GRAYSCALE, None
    if resolution is not None and header is not None and header.media_type == JPEG:
        halvings = resolution.halvings(header.rows, header.columns, margin=JPEG_MARGIN)
        flags = HALVED_JPEG[halvings]
        reduced_from = (header.rows, header.columns) if halvings else None
    if header is not None and header.media_type == PNG and (header.channels > 1 or header.bits > 8):
        flags = cv2.IMREAD_UNCHANGED
    picture: Any
    try:
        # From memory, because from a file OpenCV shows the first part of a JPEG that was cut off.
        picture = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error as error:
        raise DecodeFailed("The picture cannot be decoded. Send it again.") from error
    if picture is None:
        raise DecodeFailed("The picture is cut off or damaged and cannot be decoded. Send it again.")
    if picture.dtype not in (np.uint8, np.uint16):
        raise DecodeFailed(f"The picture has samples of the type {picture.dtype}, which is no grey level.")
    colour = picture.ndim == 3 and picture.shape[2] == 3
    return replace(_as_is(_brightness(picture[..., ::-1] if colour else picture)), reduced_from=reduced_from)


def _code_table(stored: StoredPixels) -> tuple[Samples, NDArray[np.float64]]:
    """The samples as codes of 8 or 16 bits, and for each code the stored value that it means."""
    samples = stored.samples
    if samples.dtype.itemsize > 2:
        return _scaled_to_16_bits(_meaning(samples, stored))
    every_code = np.arange(2 ** (8 * samples.dtype.itemsize), dtype=np.int64)
    return samples, _meaning(every_code, stored).astype(np.float64)


def _meaning(codes: NDArray[Any], stored: StoredPixels) -> NDArray[Any]:
    """Foreign bits taken away, the sign extended; lossy overshoot clipped."""
    if codes.dtype.kind == "f":
        return codes
    width = 8 * stored.samples.dtype.itemsize
    codes = codes.astype(np.int64)
    half = 2 ** (stored.bits - 1)
    if stored.lossy and stored.extended:
        codes = np.where(codes >= 2 ** (width - 1), codes - 2**width, codes)
        low, high = (-half, half - 1) if stored.signed else (0, 2 * half - 1)
        return np.asarray(np.clip(codes, low, high))
    if stored.lossy and not stored.signed:
        return np.asarray(np.clip(codes, 0, 2 * half - 1))
    meant = (codes >> stored.shift) & (2**stored.bits - 1)
    if stored.signed:
        meant = np.where(meant >= half, meant - 2 * half, meant)
    return np.asarray(meant)


def _scaled_to_16_bits(values: NDArray[Any]) -> tuple[Samples, NDArray[np.float64]]:
    finite = np.where(np.isfinite(values), values, 0).astype(np.float64)
    low, high = float(finite.min()), float(finite.max())
    step = (high - low) / 65535 or 1.0
    codes = np.rint((finite - low) / step).astype(np.uint16)
    return codes, low + step * np.arange(65536, dtype=np.float64)


def _interpret_palette(stored: StoredPixels, dataset: Any, *, big_endian: bool) -> Interpretation:
    palette = palette_brightness(dataset, big_endian=big_endian)
    if palette is None:
        raise DecodeFailed("The image's colour palette is missing or damaged. Send the image again.")
    codes, meant = _code_table(stored)
    brightness = palette(meant)
    return Interpretation(
        codes=codes,
        values=brightness,
        data=brightness.astype(np.uint16),
        slope=1.0,
        intercept=0.0,
        is_padding=None,
        monochrome1=False,
        windows=(full_range_window(0, 255, "as stored"),),
        voi_lut=None,
    )


def _brightness(samples: Samples) -> Samples:
    """Grey from RGB by the weights of ITU-R BT.601; what is transparent becomes black."""
    if samples.ndim == 2:
        return samples
    if samples.shape[2] == 4:
        colour = np.asarray(cv2.cvtColor(samples, cv2.COLOR_BGRA2GRAY))
        full = np.iinfo(samples.dtype).max
        return (colour.astype(np.uint64) * samples[:, :, 3] // full).astype(samples.dtype)
    if samples.shape[2] == 2:
        full = np.iinfo(samples.dtype).max
        return (samples[:, :, 0].astype(np.uint64) * samples[:, :, 1] // full).astype(samples.dtype)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_RGB2GRAY))


def _as_is(grey: Samples) -> Interpretation:
    """An image that is brightness already."""
    top = 255 if grey.dtype == np.uint8 else 2 ** max(int(grey.max()).bit_length(), LOW_BITS) - 1
    every_code = np.arange(2 ** (8 * grey.dtype.itemsize))
    return Interpretation(
        codes=grey,
        values=every_code.astype(np.float64),
        data=every_code.astype(np.uint16),
        slope=1.0,
        intercept=0.0,
        is_padding=None,
        monochrome1=False,
        windows=(full_range_window(0, top, "as stored"),),
        voi_lut=None,
    )


def _with_default_window(interpretation: Interpretation, *, as_is: bool) -> Interpretation:
    if as_is:
        values = interpretation.values
        window = full_range_window(float(values.min()), float(values.max()), "as stored")
        return replace(interpretation, windows=(window,))
    window = robust_window(interpretation.sampled_counts(), interpretation.values)
    return replace(interpretation, windows=(window,), notices=(*interpretation.notices, NO_WINDOW))
