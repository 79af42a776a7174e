"""Encode pixels into the encapsulated transfer syntaxes (PS3.5 annex A.4), for files that we write
ourselves.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

ENCAPSULATED = frozenset(
    {
        *(
            HTJ2K,
            HTJ2KLossless,
            JPEG2000,
            JPEG2000Lossless,
            JPEGBaseline8Bit,
            JPEGExtended12Bit,
            JPEGLossless,
        ),
        *(JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, RLELossless),
    }
)
"""The compressed transfer syntaxes that can be written."""

NEAR_LOSSLESS_ERROR = 2
"""The largest difference of a JPEG-LS near-lossless sample, in stored values."""


def encapsulated(
    pixels: NDArray[Any], transfer_syntax: str, bits: int, *, codestream: bytes | None = None
) -> bytes:
    """The Pixel Data value: an empty offset table and one frame; `codestream`, when given, is that frame."""
    frame = (
        codestream if codestream is not None else _encode(np.ascontiguousarray(pixels), transfer_syntax, bits)
    )
    return bytes(encapsulate([frame]))


def _encode(pixels: NDArray[Any], transfer_syntax: str, bits: int) -> bytes:  # noqa: PLR0911 - one per codec
    if transfer_syntax == RLELossless:
        return encode_rle(pixels)
    if transfer_syntax in (JPEG2000, JPEG2000Lossless):
        lossless = transfer_syntax == JPEG2000Lossless
        return bytes(
            imagecodecs.jpeg2k_encode(
                pixels,
                level=None if lossless else 60,
                codecformat="j2k",
                reversible=lossless,
                bitspersample=bits,
            )
        )
    if transfer_syntax in (HTJ2K, HTJ2KLossless):
        return bytes(imagecodecs.htj2k_encode(pixels, reversible=True))
    if pixels.dtype.kind == "i":
        pixels = pixels.view(f"u{pixels.dtype.itemsize}") & np.array(2**bits - 1, f"u{pixels.dtype.itemsize}")
    if transfer_syntax in (JPEGLSLossless, JPEGLSNearLossless):
        error = NEAR_LOSSLESS_ERROR if transfer_syntax == JPEGLSNearLossless else 0
        return bytes(imagecodecs.jpegls_encode(pixels, level=error))
    if transfer_syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = 1 if transfer_syntax == JPEGLosslessSV1 else 4
        return bytes(
            imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=max(bits, 2))
        )
    if transfer_syntax == JPEGExtended12Bit and pixels.dtype.itemsize == 2:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=12))
    if pixels.dtype.itemsize != 1:
        raise ValueError("JPEG Baseline holds 8-bit samples only")
    return bytes(imagecodecs.jpeg8_encode(pixels, level=95))


def encode_rle(pixels: NDArray[Any]) -> bytes:
    """RLE Lossless (PS3.5 annex G): a header of segment offsets, then one PackBits segment for each byte
    plane.
    """
    samples = pixels.reshape(*pixels.shape[:2], -1)
    planes = [
        np.ascontiguousarray(samples[:, :, channel])
        .view(np.uint8)
        .reshape(*pixels.shape[:2], pixels.dtype.itemsize)[:, :, byte]
        for channel in range(samples.shape[2])
        for byte in reversed(range(pixels.dtype.itemsize))
    ]
    segments = [_packbits_rows(plane) for plane in planes]
    offsets = np.zeros(16, dtype="<u4")
    offsets[0] = len(segments)
    position = 64
    for index, segment in enumerate(segments, start=1):
        offsets[index] = position
        position += len(segment)
    return offsets.tobytes() + b"".join(segments)


def _packbits_rows(plane: NDArray[np.uint8]) -> bytes:
    # Rows are packed one by one, as the annex asks, and the segment is made even.
    packed = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in plane)
    return packed + b"\0" * (len(packed) % 2)
