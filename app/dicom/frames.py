"""Find the frames inside Pixel Data without decoding them (PS3.5 annex A.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

from app.dicom.elements import value_of, whole_number
from app.dicom.part10 import OpenedDicom
from app.domain.sentence import sentence
from app.errors import DecodeFailed

_ITEM, _DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_MOST_FRAGMENTS = 100_000
_CUT_OFF = sentence("The pixel data end early; the image was cut off on the way. Send it again.")
_END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class _Fragment:
    item: int
    offset: int
    length: int


def frame_count(opened: OpenedDicom) -> int:
    """Number of Frames, 1 when the header does not say."""
    return max(whole_number(opened.dataset, "NumberOfFrames") or 1, 1)


def encapsulated_frame(opened: OpenedDicom, number: int) -> bytes:
    """The codestream of frame `number` (from 1). Raises DecodeFailed when it is missing or cut off."""
    if opened.pixels is None or opened.pixels.length is not None:
        raise DecodeFailed(
            "The header names a compressed transfer syntax, but the pixel data are not compressed. "
            "The image was relabelled on the way; send it again from its source."
        )
    table, fragments = _index(opened.stream, opened.pixels.offset)
    count = frame_count(opened)
    if not fragments or not 1 <= number <= count:
        raise DecodeFailed("The pixel data hold no such frame.")
    chosen = fragments
    if count > 1:
        chosen = _fragments_of(opened, table, fragments, number, count)
    parts = []
    for fragment in chosen:
        opened.stream.seek(fragment.offset)
        part = opened.stream.read(fragment.length)
        if len(part) < fragment.length:
            raise DecodeFailed(_CUT_OFF)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def native_frame_place(opened: OpenedDicom, number: int, frame_bytes: int) -> int:
    """Where the bytes of uncompressed frame `number` (from 1) begin in the stream.

    Raises DecodeFailed when the pixel data are shorter than the header says.
    """
    if opened.pixels is None or opened.pixels.length is None:
        raise DecodeFailed(
            "The header names an uncompressed transfer syntax, but the pixel data are compressed. "
            "The image was relabelled on the way; send it again from its source."
        )
    start = opened.pixels.offset + (number - 1) * frame_bytes
    end = opened.stream.seek(0, 2)
    held = min(end - opened.pixels.offset, opened.pixels.length)
    if number < 1 or number * frame_bytes > held:
        promised = number * frame_bytes
        raise DecodeFailed(
            f"The header promises {promised} bytes of pixels, the file has {max(held, 0)}. Send it again."
        )
    return start


def _index(stream: IO[bytes], offset: int) -> tuple[bytes, list[_Fragment]]:
    """The basic offset table's value and the places of the fragments that follow it."""
    end = stream.seek(0, 2)
    stream.seek(offset)
    table: bytes | None = None
    fragments: list[_Fragment] = []
    while len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack("<HHI", head)
        if (group, element) == _DELIMITER:
            break
        if (group, element) != _ITEM:
            raise DecodeFailed(
                "The compressed pixel data are damaged between their fragments. Send the image again."
            )
        place = stream.tell()
        if length > end - place:
            raise DecodeFailed(_CUT_OFF)
        if table is None:
            table = stream.read(length)
        else:
            fragments.append(_Fragment(place - 8, place, length))
            stream.seek(length, 1)
        if len(fragments) > _MOST_FRAGMENTS:
            raise DecodeFailed("The compressed pixel data are in more fragments than any radiograph's.")
    return table or b"", fragments


def _fragments_of(
    opened: OpenedDicom, table: bytes, fragments: list[_Fragment], number: int, count: int
) -> list[_Fragment]:
    if len(fragments) == count:
        return [fragments[number - 1]]
    starts = _starts(opened, table)
    if len(starts) == count:
        first = fragments[0].item
        low = first + starts[number - 1]
        high = first + starts[number] if number < count else None
        return [f for f in fragments if f.item >= low and (high is None or f.item < high)]
    # Without a table a frame ends where a fragment ends with End Of Image.
    frames: list[list[_Fragment]] = [[]]
    for fragment in fragments:
        frames[-1].append(fragment)
        opened.stream.seek(fragment.offset + max(fragment.length - 10, 0))
        if _END_OF_IMAGE in opened.stream.read(min(fragment.length, 10)):
            frames.append([])
    if len(frames) < number or not frames[number - 1]:
        raise DecodeFailed("The pixel data hold no such frame.")
    return frames[number - 1]


def _starts(opened: OpenedDicom, table: bytes) -> tuple[int, ...]:
    extended = value_of(opened.dataset, "ExtendedOffsetTable")
    if isinstance(extended, bytes) and len(extended) >= 8:
        return struct.unpack(f"<{len(extended) // 8}Q", extended[: len(extended) // 8 * 8])
    return struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
