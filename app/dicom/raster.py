"""The header of a PNG or JPEG file: dimensions, depth and orientation, without decoding (PNG 1.2; ITU T.81;
EXIF 2.3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.errors import Unreadable

PNG = "image/png"
JPEG = "image/jpeg"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_MOST_SEGMENTS = 4096
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class RasterHeader:
    """Rows and columns as displayed (after EXIF orientation 5 to 8 swaps them), bits per sample, channels."""

    media_type: str
    rows: int
    columns: int
    bits: int
    channels: int
    orientation: int


def read_raster_header(path: Path) -> RasterHeader | None:
    """Read the header when the file begins as a PNG or JPEG; None otherwise. Raises Unreadable when it is
    damaged.
    """
    with path.open("rb") as file:
        head = file.read(8)
        if head == _PNG_SIGNATURE:
            return _read_png(file)
        if head[:3] == b"\xff\xd8\xff":
            file.seek(2)
            return _read_jpeg(file)
    return None


def _read_png(file: IO[bytes]) -> RasterHeader:
    chunk = file.read(25)
    if len(chunk) < 25 or chunk[4:8] != b"IHDR":
        raise Unreadable("The PNG file is cut off or damaged in its header. Send it again.")
    columns, rows, bits, colour = struct.unpack(">IIBB", chunk[8:18])
    if not rows or not columns or colour not in _PNG_CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise Unreadable("The PNG header names an image that cannot exist. Send it again.")
    return RasterHeader(PNG, rows, columns, 16 if bits == 16 else 8, _PNG_CHANNELS[colour], 1)


def _read_jpeg(file: IO[bytes]) -> RasterHeader:
    orientation = 1
    for _ in range(_MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker in _STANDALONE:
            continue
        if marker is None or marker in (0xD9, 0xDA):
            break
        length_bytes = file.read(2)
        length = int.from_bytes(length_bytes, "big") - 2
        if len(length_bytes) < 2 or length < 0:
            break
        if marker in _START_OF_FRAME:
            frame = file.read(6)
            if len(frame) < 6:
                break
            bits, rows, columns, channels = struct.unpack(">BHHB", frame)
            if not rows or not columns:
                break
            if orientation >= 5:
                rows, columns = columns, rows
            return RasterHeader(JPEG, rows, columns, bits, channels, orientation)
        if marker == 0xE1:
            orientation = _exif_orientation(file.read(length)) or orientation
        else:
            file.seek(length, 1)
    raise Unreadable("The JPEG file is cut off or damaged before its image. Send it again.")


def _next_marker(file: IO[bytes]) -> int | None:
    byte = file.read(1)
    if byte != b"\xff":
        return None
    while byte == b"\xff":
        byte = file.read(1)
    return byte[0] if byte else None


def _exif_orientation(segment: bytes) -> int | None:
    """EXIF orientation 1 to 8 out of an APP1 segment, or None."""
    if segment[:6] != b"Exif\0\0":
        return None
    tiff = segment[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return None
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for index in range(count):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(tiff):
            return None
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION:
            return int(value) if 1 <= value <= 8 else None
    return None
