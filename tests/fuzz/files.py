"""Files to mutate: pydicom's own test files, and ours in every transfer syntax that can be written."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from app.dicom.encode import ENCAPSULATED
from app.dicom.phantom import draw_phantom
from app.dicom.write import wrap

_LARGEST_BYTES = 300_000
_PLAIN = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


@lru_cache(maxsize=1)
def corpus() -> tuple[tuple[str, bytes], ...]:
    """Every file with a name to know it by; the same on every machine with the same pydicom."""
    theirs = Path(pydicom.__file__).parent / "data" / "test_files"
    found = [
        (path.name, path.read_bytes())
        for path in sorted(theirs.glob("*.dcm"))
        if path.stat().st_size <= _LARGEST_BYTES
    ]
    return tuple(found) + _ours()


def _ours() -> tuple[tuple[str, bytes], ...]:
    deep = draw_phantom(rows=192, columns=160).pixels
    flat = (deep >> 4).astype(np.uint8)
    uid = "1.2.826.0.1.3680043.8.498.77"
    files = []
    for number, syntax in enumerate((*_PLAIN, *sorted(ENCAPSULATED))):
        pixels, bits = (flat, 8) if syntax == JPEGBaseline8Bit else (deep, 12)
        data = wrap(
            pixels,
            transfer_syntax=syntax,
            bits_stored=bits,
            patient_id=f"FUZZ-{number}",
            study_instance_uid=f"{uid}.{number}.1",
            series_instance_uid=f"{uid}.{number}.2",
            sop_instance_uid=f"{uid}.{number}.3",
            tags={"WindowCenter": "2048", "WindowWidth": "4096"},
        )
        files.append((f"ours in {syntax}", data))
    files.append(("ours inverted", wrap(deep, bits_stored=12, photometric="MONOCHROME1")))
    files.append(("ours in colour", wrap(np.dstack([flat] * 3))))
    files.append(("ours without a preamble", wrap(deep, bits_stored=12, part10=False)))
    for kind, pixels in (("png", flat), ("png", deep), ("jpeg", flat)):
        files.append((f"ours as {pixels.dtype} {kind}", cv2.imencode(f".{kind}", pixels)[1].tobytes()))
    return tuple(files)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _zeros(megabytes: int) -> bytes:
    """So many megabytes of zeros, deflated."""
    packed = zlib.compressobj(1)
    block = b"\0" * 2**20
    return b"".join(packed.compress(block) for _ in range(megabytes)) + packed.flush()


@lru_cache(maxsize=1)
def bombs() -> tuple[tuple[str, bytes], ...]:
    """Small files that are large once unpacked."""
    start = b"\x89PNG\r\n\x1a\n"
    end = _chunk(b"IEND", b"")

    def png(rows: int, columns: int, *chunks: bytes) -> bytes:
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0))
        return b"".join([start, head, *chunks, end])

    zeros = _zeros(210)
    deflated = zeros[2:-4]  # without zlib's head and checksum
    syntax = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    jpeg = bytearray(cv2.imencode(".jpeg", np.full((64, 64), 90, np.uint8))[1].tobytes())
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return (
        ("PNG of 14,000 x 14,000", png(14_000, 14_000, _chunk(b"IDAT", zeros))),
        ("PNG of 9,000 x 9,000 within the limit", png(9000, 9000, _chunk(b"IDAT", zeros))),
        ("PNG with more rows than it says", png(200, 200, _chunk(b"IDAT", zeros))),
        (
            "PNG with a text bomb",
            png(200, 200, _chunk(b"zTXt", b"a\0\0" + zeros), _chunk(b"IDAT", _zeros(1))),
        ),
        (
            "PNG with a profile bomb",
            png(200, 200, _chunk(b"iCCP", b"a\0\0" + zeros), _chunk(b"IDAT", _zeros(1))),
        ),
        ("deflated DICOM bomb", b"\0" * 128 + b"DICM" + length + meta + deflated),
        ("JPEG of 65,000 x 65,000", bytes(jpeg)),
    )
