"""Mutations that know where a DICOM file's elements, lengths and fragments are, and some that do not care."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV")
_VRS = (
    b"US",
    b"SS",
    b"DS",
    b"IS",
    b"FD",
    b"FL",
    b"AT",
    b"LO",
    b"PN",
    b"UI",
    b"DA",
    b"TM",
    b"AS",
    b"CS",
    *_LONG_VRS,
)
_PIXEL_DATA = 0x7FE00010
_TELLING = (
    0x00280010,
    0x00280011,
    0x00280100,
    0x00280101,
    0x00280102,
    0x00280103,
    0x00280002,
    0x00280004,
    0x00280006,
    0x00280008,
    0x00281050,
    0x00281051,
    0x00281052,
    0x00281053,
    0x00280120,
    0x0020000D,
    0x0020000E,
    0x00080018,
    0x00080016,
    0x00080005,
    0x00080060,
    0x00100010,
    0x00100020,
    0x00100030,
    0x00100040,
    0x00101010,
    0x00080020,
    0x00080030,
    0x00181164,
    0x00280030,
    0x00185101,
    0x00180015,
    0x00080008,
    0x00020010,
    0x00020000,
)
"""Tags that say how to read the pixels, who it is, and what the gate asks."""
_NUMBERS = (0, 1, 2, 7, 8, 9, 15, 16, 17, 32, 64, 127, 255, 256, 4095, 32767, 32768, 65535)
_TEXTS = (
    b"",
    b" ",
    b"\0",
    b"\\",
    b"\\\\\\\\",
    b"1e400",
    b"-1e400",
    b"nan",
    b"inf",
    b"-0",
    b"0",
    b"1E-320",
    b"99999999999999",
    b"12.5",
    b"\xff\xfe\xfd",
    b"\x1b$B",
    b"\x1b",
    b"1.2.3",
    b"1..2",
    b"1.2.840.10008.1.2.4.50",
    b"1.2.840.10008.1.2.5",
    b"1.2.840.10008.1.2.1.99",
    b"MONOCHROME1",
    b"RGB",
    b"PALETTE COLOR",
    b"YBR_FULL_422",
    b"YBR_ICT",
    b"ISO_IR 192",
    b"ISO_IR 100",
    b"\\ISO 2022 IR 87",
    b"GB18030",
    b"20261399",
    b"00000000",
    b"999Y",
    b"-1Y",
    b"003Y",
    b"A" * 70_000,
    b"a^b=c^d=e^f",
    b"<script>alert(1)</script>",
    b"'; DROP TABLE studies; --",
    "Zoë\u202e\u0000".encode(),
    b"\xed\xa0\x80",
    b"../../../../etc/passwd",
    b"%s%n{0}",
    b"2.25." + b"9" * 60,
    b"CHEST",
    b"CT",
    b"LL",
)
_LENGTHS = (0, 1, 2, 3, 7, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True)
class Element:
    """Where one top-level element of an explicit little-endian file lies."""

    tag: int
    start: int
    value: int
    end: int

    @property
    def is_long(self) -> bool:
        return self.value - self.start == 12


def elements(data: bytes) -> list[Element]:
    """The elements as far as they can be told; of other encodings only those of the file meta group."""
    found: list[Element] = []
    at = 132 if data[128:132] == b"DICM" else 0
    while at + 8 <= len(data):
        group, number = struct.unpack_from("<HH", data, at)
        vr = data[at + 4 : at + 6]
        if not vr.isalpha() or not vr.isupper():
            break
        if vr in _LONG_VRS:
            if at + 12 > len(data):
                break
            value, length = at + 12, struct.unpack_from("<I", data, at + 8)[0]
        else:
            value, length = at + 8, struct.unpack_from("<H", data, at + 6)[0]
        end = len(data) if length == 0xFFFFFFFF else value + length
        if end > len(data):
            break
        found.append(Element(group << 16 | number, at, value, end))
        at = end
    return found


def mutate(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """The name of what was done, and the bytes; often one mutation, sometimes several."""
    kinds = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        known = elements(data)
        pool = _BY_ELEMENT if known and rng.random() < 0.75 else _BY_BYTE
        kind = rng.choice(sorted(pool))
        kinds.append(kind)
        data = pool[kind](rng, data, known)
    return kinds[0], data


def _pick(rng: random.Random, known: list[Element]) -> Element:
    telling = [element for element in known if element.tag in _TELLING]
    return rng.choice(telling if telling and rng.random() < 0.8 else known)


def _with(element: Element, data: bytes, value: bytes) -> bytes:
    """The element with another value, and the length that goes with it."""
    if element.is_long:
        length = struct.pack("<I", len(value) & 0xFFFFFFFF)
    else:
        value = value[:0xFFFE]
        length = struct.pack("<H", len(value))
    return data[: element.value - len(length)] + length + value + data[element.end :]


def _value(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    if data[element.start + 4 : element.start + 6] in (b"US", b"SS"):
        value = struct.pack("<H", rng.choice(_NUMBERS)) * rng.choice((1, 1, 1, 2, 3, 0))
    else:
        value = rng.choice(_TEXTS)
        value += b" " * (len(value) % 2 if rng.random() < 0.9 else 0)
    return _with(element, data, value)


def _representation(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    return data[: element.start + 4] + rng.choice(_VRS) + data[element.start + 6 :]


def _length(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    lie = rng.choice(_LENGTHS)
    packed = struct.pack("<I", lie) if element.is_long else struct.pack("<H", lie & 0xFFFF)
    return data[: element.value - len(packed)] + packed + data[element.value :]


def _without(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    return data[: element.start] + data[element.end :]


def _doubled(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    return data[: element.end] + data[element.start : element.end] + data[element.end :]


def _retagged(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element, other = _pick(rng, known), rng.choice(_TELLING)
    return data[: element.start] + struct.pack("<HH", other >> 16, other & 0xFFFF) + data[element.start + 4 :]


def _nested(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    element = _pick(rng, known)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    deep = (sequence + item) * rng.choice((1, 3, 40, 2000))
    return data[: element.start] + deep + data[element.start :]


def _fragments(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    """The pixels, as fragments where they are: another offset table, length, order or end."""
    pixels = next((element for element in known if element.tag == _PIXEL_DATA), None)
    if pixels is None:
        return _flips(rng, data, known)
    body = data[pixels.value : pixels.end]
    item = b"\xfe\xff\x00\xe0"
    places = [at for at in range(0, min(len(body), 4000)) if body[at : at + 4] == item]
    how = rng.randrange(6)
    if how == 0 and places:
        at = rng.choice(places)
        body = body[: at + 4] + struct.pack("<I", rng.choice(_LENGTHS)) + body[at + 8 :]
    elif how == 1:
        body = body.replace(b"\xfe\xff\xdd\xe0\0\0\0\0", b"")
    elif how == 2 and places:
        at = rng.choice(places)
        body = body[:at] + (item + b"\0\0\0\0") * rng.choice((1, 5, 3000)) + body[at:]
    elif how == 3 and places:
        offsets = struct.pack("<4I", *(rng.choice(_LENGTHS) for _ in range(4)))
        body = item + struct.pack("<I", 16) + offsets + body[8:]
    elif how == 4:
        body = body[: rng.randrange(len(body) + 1)]
    else:
        body = _flips(rng, body, known)
    return data[: pixels.value] + body + data[pixels.end :]


def _flips(rng: random.Random, data: bytes, _known: list[Element]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 20)) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _early_flips(rng: random.Random, data: bytes, known: list[Element]) -> bytes:
    return _flips(rng, data[:1500], known) + data[1500:]


def _torn(rng: random.Random, data: bytes, _known: list[Element]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _stuffed(rng: random.Random, data: bytes, _known: list[Element]) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 8, 500, 70_000))
    return data[:at] + rng.choice((b"\0", b"\xff", b"\xfe\xff\x00\xe0", b"(", b"\x1b")) * length + data[at:]


def _cut_out(rng: random.Random, data: bytes, _known: list[Element]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 8, 500, 70_000)) :]


def _number(rng: random.Random, data: bytes, _known: list[Element]) -> bytes:
    """A number of two or four bytes somewhere at the front: PNG's and JPEG's sizes, lengths of boxes."""
    if len(data) < 8:
        return data
    at = rng.randrange(min(len(data) - 4, 600))
    kind = rng.choice(("<H", ">H", "<I", ">I"))
    packed = struct.pack(kind, rng.choice(_LENGTHS) & (0xFFFF if kind[1] == "H" else 0xFFFFFFFF))
    return data[:at] + packed + data[at + len(packed) :]


_BY_ELEMENT = {
    "an element's value": _value,
    "an element's VR": _representation,
    "an element's length": _length,
    "an element left out": _without,
    "an element twice": _doubled,
    "an element's tag": _retagged,
    "sequences nested": _nested,
    "pixels and fragments": _fragments,
}
_BY_BYTE = {
    "bytes anywhere": _flips,
    "bytes at the front": _early_flips,
    "cut off": _torn,
    "stuffed": _stuffed,
    "cut out": _cut_out,
    "a number at the front": _number,
}
