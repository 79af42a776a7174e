"""Compressed pictures without what is written beside their pixels: comments, makers' own segments, and what
follows the end of the picture.

JPEG and JPEG-LS by ITU-T T.81 B and T.87 C, JPEG 2000 by T.800 A. What a marker means that is none of theirs
nobody knows, so such a picture is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.domain.sentence import sentence
from app.errors import Unreadable

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_SOC, _SOT, _SOD, _EOC = b"\xff\x4f", 0xFF90, 0xFF93, b"\xff\xd9"
_COM_2000, _TLM = 0xFF64, 0xFF55
"""TLM repeats the lengths of tile-parts, which change where a comment goes; no decoder needs it."""
_OF_2000 = frozenset(
    {*range(0xFF50, 0xFF55), *range(0xFF56, 0xFF5A), *range(0xFF5C, 0xFF62), 0xFF63, *range(0xFF70, 0xFF7A)}
)
_END_OF_2000 = re.compile(rb"(?<!\xff\x91\x00\x04)\xff\xd9")
"""Not the number of a packet, which follows SOP and its length; packets themselves hold no marker."""
_SOT_LENGTH = 12
_SOI, _SOS, _EOI = b"\xff\xd8", 0xFFDA, 0xFFD9
_COM = 0xFFFE
_APP, _JPG = range(0xFFE0, 0xFFF0), range(0xFFF0, 0xFFFE)
_OF_JPEG = frozenset({*range(0xFFC0, 0xFFD0), *range(0xFFDA, 0xFFE0), 0xFFF7, 0xFFF8})
_NEEDED = {0xFFE0: b"JFIF\0", 0xFFEE: b"Adobe", 0xFFE8: b"mrfx"}
"""Segments that say how the samples mean colours: JFIF, Adobe, and the colour transform of JPEG-LS."""
_AFTER_SCAN = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
"""The next marker after a scan's samples; restarts belong to them."""


def without_comments(codestream: bytes) -> bytes:
    """The same picture. Raises Unreadable for bytes that are none of the codestreams of PS3.5, or that are
    not understood to their end.
    """
    if codestream.startswith(_JP2_SIGNATURE):
        start = codestream.find(b"jp2c")
        codestream = codestream[start + 4 :] if start > 0 else codestream
    if codestream.startswith(_SOC):
        return b"".join(_of_jpeg_2000(codestream))
    if codestream.startswith(_SOI):
        return b"".join(_of_jpeg(codestream))
    raise _refused()


def _of_jpeg(codestream: bytes) -> Iterator[bytes]:
    yield _SOI
    at = 2
    while True:
        marker, at = _marker(codestream, at)
        if marker == _EOI:
            yield _EOI.to_bytes(2, "big")
            return
        segment, at = _segment(codestream, at)
        if _is_kept(marker, segment[2:]):
            yield marker.to_bytes(2, "big") + segment
        if marker == _SOS:
            following = _AFTER_SCAN.search(codestream, at)
            if following is None:
                raise _refused()
            yield codestream[at : following.start()]
            at = following.start()


def _marker(codestream: bytes, at: int) -> tuple[int, int]:
    """The marker here, after any number of fill bytes, and where what it marks begins."""
    start = at
    while codestream[at : at + 1] == b"\xff":
        at += 1
    if at == start or at >= len(codestream):
        raise _refused()
    return 0xFF00 | codestream[at], at + 1


def _segment(codestream: bytes, at: int) -> tuple[bytes, int]:
    """Length and content of the segment whose length is here, and where it ends."""
    end = at + int.from_bytes(codestream[at : at + 2], "big")
    if not at + 2 <= end <= len(codestream):
        raise _refused()
    return codestream[at:end], end


def _is_kept(marker: int, content: bytes) -> bool:
    if marker in _OF_JPEG:
        return True
    if marker in _APP:
        needed = _NEEDED.get(marker)
        return needed is not None and content.startswith(needed) and len(content) <= 14
    if marker == _COM or marker in _JPG:
        return False
    raise _refused()


def _of_jpeg_2000(codestream: bytes) -> Iterator[bytes]:
    yield _SOC
    header, at = _header(codestream, 2, until=_SOT)
    yield header
    while codestream[at : at + 2] == _SOT.to_bytes(2, "big"):
        length = int.from_bytes(codestream[at + 6 : at + 10], "big")
        header, data = _header(codestream, at + _SOT_LENGTH, until=_SOD)
        ends = _END_OF_2000.search(codestream, data)
        end = at + length if length else ends.start() if ends else len(codestream)
        if not data + 2 <= end <= len(codestream):
            raise _refused()
        new_length = _SOT_LENGTH + len(header) + end - data
        yield codestream[at : at + 6] + new_length.to_bytes(4, "big") + codestream[at + 10 : at + _SOT_LENGTH]
        yield header
        yield codestream[data:end]
        at = end
    # Without its end it is whole all the same; a frame of odd length is filled up with a zero.
    if codestream[at : at + 2] != _EOC and codestream[at:].strip(b"\0"):
        raise _refused()
    yield _EOC


def _header(codestream: bytes, at: int, *, until: int) -> tuple[bytes, int]:
    """The segments that are kept, and where the marker `until` is."""
    kept = []
    while (marker := int.from_bytes(codestream[at : at + 2], "big")) != until:
        _, end = _segment(codestream, at + 2)
        if marker in _OF_2000:
            kept.append(codestream[at:end])
        elif marker not in (_COM_2000, _TLM):
            raise _refused()
        at = end
    return b"".join(kept), at


def _refused() -> Unreadable:
    return Unreadable(
        sentence("The compressed picture holds something beside its pixels that is not understood.")
    )
