"""Decode one image to its stored samples: what the file holds, before any look-up table.

Which codec decodes what was chosen by measurement (docs/decoding.md); gdcm is tried where the first choice
fails. Runs only in the decoder's child processes.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from app.dicom.codestream import Codec, Codestream, read_codestream
from app.dicom.frames import encapsulated_frame, native_frame_place
from app.dicom.layout import FLOAT_TAGS, PixelLayout, read_layout
from app.dicom.part10 import OpenedDicom
from app.dicom.resolution import JPEG_MARGIN, WAVELET_MARGIN, Resolution, half
from app.errors import DecodeFailed

Samples = NDArray[Any]

HALVED_JPEG = (
    *(cv2.IMREAD_GRAYSCALE, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    *(cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_GRAYSCALE_8),
)
"""OpenCV's flags to decode a JPEG halved so often."""
_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K})


def _damaged(name: str) -> DecodeFailed:
    return DecodeFailed(
        f"The compressed pixels ({name}) cannot be decoded; they are damaged. Send the image again."
    )


@dataclass(frozen=True)
class StoredPixels:
    """`samples` is (rows, columns) or, in colour, (rows, columns, 3) as RGB; unsigned, or float for Float
    Pixel Data.

    `bits` of them count, `shift` bits below these are foreign; `signed` says that they are two's complement.
    `lossy` samples may leave the range of `bits` by overshoot and are clipped; others carry foreign bits
    above (overlays, garbage), which are masked. `extended` samples are two's complement over their whole
    width. Where the codec made the image smaller, `reduced_from` is what rows and columns the layout has.
    """

    samples: Samples
    layout: PixelLayout
    bits: int
    shift: int
    signed: bool
    lossy: bool
    extended: bool = False
    reduced_from: tuple[int, int] | None = None


def read_stored(
    opened: OpenedDicom, path: Path, *, frame: int = 1, resolution: Resolution | None = None
) -> StoredPixels:
    """Decode one frame, counted from 1, smaller where `resolution` and its codec allow it.

    Raises DecodeFailed with a sentence on what stands in the way.
    """
    layout = read_layout(opened)
    if opened.pixels is not None and opened.pixels.tag in FLOAT_TAGS:
        samples = _read_native(opened, layout, FLOAT_TAGS[opened.pixels.tag], frame)
        return StoredPixels(samples, layout, 64, 0, signed=True, lossy=False)
    syntax = UID(opened.transfer_syntax)
    if syntax == RLELossless:
        samples = _decode_rle(encapsulated_frame(opened, frame), layout)
    elif syntax.is_private or syntax.type != "Transfer Syntax":
        raise DecodeFailed("The file's transfer syntax is private or unknown. Send it in a standard one.")
    elif syntax.is_encapsulated:
        return _decode_codestream(opened, path, layout, frame, resolution)
    else:
        byte_order = ">" if opened.big_endian else "<"
        samples = _read_native(opened, layout, np.dtype(f"{byte_order}u{layout.allocated // 8}"), frame)
    shift = layout.high_bit + 1 - layout.stored
    return StoredPixels(samples, layout, layout.stored, shift, layout.signed, lossy=False)


def _read_native(opened: OpenedDicom, layout: PixelLayout, sample: np.dtype[Any], frame: int) -> Samples:
    pixels = layout.rows * layout.columns
    if layout.photometric == "YBR_FULL_422" and layout.samples == 3:
        return _read_native_422(opened, layout, frame)
    place = native_frame_place(opened, frame, pixels * layout.samples * sample.itemsize)
    opened.stream.seek(place)
    raw = opened.stream.read(pixels * layout.samples * sample.itemsize)
    values: Samples = np.frombuffer(raw, dtype=sample)
    if opened.big_endian and sample.itemsize == 1 and opened.pixels is not None and opened.pixels.vr == "OW":
        # Bytes that travel as big-endian words come swapped in pairs (PS3.5 annex D).
        values = np.frombuffer(raw + b"\0" * (len(raw) % 2), "u1").reshape(-1, 2)[:, ::-1].reshape(-1)
        values = values[: pixels * layout.samples]
    if not sample.isnative:
        values = values.astype(sample.newbyteorder("="))
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns)
    if layout.planar:
        values = np.moveaxis(values.reshape(3, layout.rows, layout.columns), 0, -1)
    return _to_rgb(values.reshape(layout.rows, layout.columns, 3), layout.photometric)


def _read_native_422(opened: OpenedDicom, layout: PixelLayout, frame: int) -> Samples:
    """Y1 Y2 Cb Cr for two pixels (PS3.3 C.7.6.3.1.2); only the brightness is kept."""
    length = layout.rows * layout.columns * 2
    opened.stream.seek(native_frame_place(opened, frame, length))
    quads = np.frombuffer(opened.stream.read(length), "u1").reshape(-1, 4)
    return np.ascontiguousarray(quads[:, :2]).reshape(layout.rows, layout.columns)


def _decode_rle(frame: bytes, layout: PixelLayout) -> Samples:
    sample = np.dtype(f"u{layout.allocated // 8}")
    expected = layout.rows * layout.columns * layout.samples * sample.itemsize
    planes = layout.samples * sample.itemsize
    if len(frame) < 64 or int.from_bytes(frame[:4], "little") != planes:
        raise _damaged("RLE")
    try:
        decoded = imagecodecs.dicomrle_decode(frame, sample)
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged("RLE") from error
    if len(decoded) < expected:
        raise DecodeFailed("The RLE pixel data end early; the image was cut off on the way. Send it again.")
    values = np.frombuffer(decoded, sample, count=layout.rows * layout.columns * layout.samples)
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns)
    colour = np.moveaxis(values.reshape(3, layout.rows, layout.columns), 0, -1)
    return _to_rgb(colour, layout.photometric)


def _decode_codestream(
    opened: OpenedDicom, path: Path, layout: PixelLayout, number: int, resolution: Resolution | None
) -> StoredPixels:
    frame = encapsulated_frame(opened, number)
    found = read_codestream(frame)
    if (found.rows, found.columns) != (layout.rows, layout.columns):
        raise DecodeFailed(
            f"The header says {layout.columns} x {layout.rows} pixels, the compressed image inside "
            f"{found.columns} x {found.rows}. Send the image again from its source."
        )
    if found.components not in (1, 3):
        raise DecodeFailed(f"The compressed image has {found.components} components; 1 and 3 can be read.")
    lossy = found.codec is Codec.JPEG or opened.transfer_syntax in _LOSSY
    if resolution is not None and (smaller := _decode_smaller(frame, found, layout, resolution)) is not None:
        whole = (layout.rows, layout.columns)
        return StoredPixels(smaller, layout, layout.stored, 0, False, True, reduced_from=whole)
    try:
        samples = _decode(frame, found, layout)
    except MemoryError:
        raise
    except Exception as error:
        fallback = _decode_with_gdcm(path, number)
        if fallback is None:
            raise _damaged(found.codec.value) from error
        samples = fallback
    if samples.shape[:2] != (layout.rows, layout.columns):
        raise _damaged(found.codec.value)
    extended = samples.dtype.kind == "i"
    if extended:
        samples = samples.view(f"u{samples.dtype.itemsize}")
    bits = layout.stored if samples.ndim == 2 else 8 * samples.dtype.itemsize
    shift = layout.high_bit + 1 - layout.stored if found.precision > layout.stored and not lossy else 0
    return StoredPixels(samples, layout, bits, shift, layout.signed, lossy, extended)


def _decode(frame: bytes, found: Codestream, layout: PixelLayout) -> Samples:
    match found.codec:
        case Codec.JPEG_LS:
            return _squeezed(imagecodecs.jpegls_decode(frame))
        case Codec.HTJ2K:
            with contextlib.suppress(Exception):
                return _squeezed(imagecodecs.htj2k_decode(frame))
            return _squeezed(imagecodecs.jpeg2k_decode(frame, numthreads=1))
        case Codec.JPEG_2000:
            return _squeezed(imagecodecs.jpeg2k_decode(frame, numthreads=1))
        case Codec.JPEG_LOSSLESS if found.components == 1:
            return _squeezed(imagecodecs.jpeg8_decode(frame))
        case _:
            # Without a marker that names the colours, the header's word decides; libjpeg would guess YCbCr.
            plain_rgb = found.components == 3 and layout.photometric == "RGB" and not found.names_colours
            return _squeezed(imagecodecs.jpeg8_decode(frame, colorspace="RGB" if plain_rgb else None))


def _decode_smaller(
    frame: bytes, found: Codestream, layout: PixelLayout, resolution: Resolution
) -> Samples | None:
    """The samples halved by the codec itself; None where it cannot, or where the mean of stored values would
    mean something else, because some of their bits are foreign or a sign.
    """
    margin = WAVELET_MARGIN if found.codec is Codec.JPEG_2000 else JPEG_MARGIN
    halvings = resolution.halvings(layout.rows, layout.columns, margin=margin)
    if found.codec is Codec.JPEG_2000:
        halvings = _as_pillow_rounds(layout, halvings)
    plain = found.components == 1 and not found.signed and not layout.signed
    if not halvings or not plain or not found.precision == layout.stored == layout.high_bit + 1:
        return None
    samples: Samples | None = None
    if found.codec is Codec.JPEG and found.precision == 8:
        samples = cv2.imdecode(np.frombuffer(frame, np.uint8), HALVED_JPEG[halvings])
    elif found.codec is Codec.JPEG_2000 and 8 <= found.precision <= 16:
        with contextlib.suppress(OSError, ValueError), Image.open(io.BytesIO(frame)) as picture:
            picture.reduce = halvings  # type: ignore[method-assign, assignment]
            samples = np.asarray(picture)
            if samples.dtype == np.uint16:
                samples = samples >> (16 - found.precision)  # Pillow shifts what has fewer bits to the top
    expected = half(layout.rows, halvings), half(layout.columns, halvings)
    return samples if samples is not None and samples.shape == expected else None


def _as_pillow_rounds(layout: PixelLayout, halvings: int) -> int:
    """As often at most as Pillow, which rounds sides to the nearest, comes to the codec's own, which are
    rounded up; it refuses the others. Once can always be halved.
    """
    sides = layout.rows, layout.columns
    while any((side + 2**halvings // 2) // 2**halvings != half(side, halvings) for side in sides):
        halvings -= 1
    return halvings


def _squeezed(samples: Samples) -> Samples:
    return samples[:, :, 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples


def _decode_with_gdcm(path: Path, number: int) -> Samples | None:
    """The samples as gdcm decodes them, or None when it cannot either or is not installed."""
    try:
        from pydicom import dcmread  # noqa: PLC0415 - only a file that the first codec refuses pays for this
        from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415

        dataset = dcmread(path)
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        samples, _ = decoder.as_array(dataset, index=number - 1, decoding_plugin="gdcm")
    except Exception:  # noqa: BLE001 - gdcm is the last resort, whatever it says
        return None
    return samples


def _to_rgb(samples: Samples, photometric: str) -> Samples:
    """RGB from what was stored without compression; YBR_FULL per PS3.3 C.7.6.3.1.2."""
    contiguous = np.ascontiguousarray(samples)
    if photometric.startswith("YBR") and contiguous.dtype == np.uint8:
        return np.asarray(cv2.cvtColor(contiguous[:, :, [0, 2, 1]], cv2.COLOR_YCrCb2RGB))
    return contiguous
