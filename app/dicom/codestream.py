"""What a compressed frame says of itself, read from its first markers without decoding.

A codec allocates what the codestream claims, whatever the DICOM header says, so the claim is checked first;
and the codestream, not the transfer syntax, says which codec it needs (files are mislabelled). Sources: ITU
T.81 annex B (JPEG), T.87 annex C (JPEG-LS), T.800 annex A (JPEG 2000), T.814 (HTJ2K).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from app.errors import DecodeFailed

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_LOSSY_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC5, 0xC6, 0xC9, 0xCA, 0xCD, 0xCE})
_JPEG_LS_FRAME = 0xF7
_APP0, _APP14 = 0xE0, 0xEE
_TAIL = 64


class Codec(Enum):
    """The families of codestreams; the values are their names in a sentence."""

    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG Lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "High-Throughput JPEG 2000"


@dataclass(frozen=True)
class Codestream:
    """`names_colours`: a JFIF or Adobe marker says what the components mean."""

    codec: Codec
    rows: int
    columns: int
    precision: int
    components: int
    signed: bool
    names_colours: bool


def read_codestream(frame: bytes) -> Codestream:
    """Read the markers up to the frame header. Raises DecodeFailed when it or the end is missing."""
    if frame.startswith(_JP2_SIGNATURE):
        start = frame.find(b"jp2c")
        found = _read_jpeg_2000(frame, start + 4) if start > 0 else None
    elif frame.startswith(b"\xff\x4f\xff\x51"):
        found = _read_jpeg_2000(frame, 0)
    elif frame.startswith(b"\xff\xd8"):
        found = _read_jpeg(frame)
    else:
        raise DecodeFailed(
            "The compressed pixels are neither JPEG nor JPEG-LS nor JPEG 2000, whatever the header says. "
            "Send the image again, uncompressed if you can."
        )
    if found is None or not found.rows or not found.columns:
        raise DecodeFailed("The compressed pixels are damaged at their beginning. Send the image again.")
    if b"\xff\xd9" not in frame.rstrip(b"\0")[-_TAIL:]:
        raise DecodeFailed(
            "The compressed pixels end early; the image was cut off on the way. Send it again."
        )
    return found


def _read_jpeg(frame: bytes) -> Codestream | None:
    position, names_colours = 2, False
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            return None
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _NO_LENGTH:
            position += 2
            continue
        body = position + 4
        if marker == _APP14 and frame[body : body + 5] == b"Adobe":
            names_colours = True
        if marker == _APP0 and frame[body : body + 4] == b"JFIF":
            names_colours = True
        if marker in _LOSSLESS_FRAMES or marker in _LOSSY_FRAMES or marker == _JPEG_LS_FRAME:
            if body + 6 > len(frame):
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, body)
            codec = Codec.JPEG_LS if marker == _JPEG_LS_FRAME else Codec.JPEG
            codec = Codec.JPEG_LOSSLESS if marker in _LOSSLESS_FRAMES else codec
            return Codestream(codec, rows, columns, precision, components, False, names_colours)
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _read_jpeg_2000(frame: bytes, start: int) -> Codestream | None:
    # SOC, then SIZ: marker, length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz, four of tiles, Csiz, then Ssiz
    # of component 0
    if len(frame) < start + 43 or frame[start : start + 4] != b"\xff\x4f\xff\x51":
        return None
    capabilities, right, bottom, left, top = struct.unpack_from(">HIIII", frame, start + 6)
    components, size = struct.unpack_from(">HB", frame, start + 40)
    codec = Codec.HTJ2K if capabilities & 0x4000 else Codec.JPEG_2000
    rows, columns = max(bottom - top, 0), max(right - left, 0)
    return Codestream(codec, rows, columns, (size & 0x7F) + 1, components, bool(size & 0x80), False)
