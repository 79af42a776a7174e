"""Whom a bundle has probably learnt from, by the marks in it: they are not drawn to judge what follows it.

The member `trained_patients.bin` has 131,072 marks, of which each patient's key sets one; a stranger is now
and then taken for known.
"""

from __future__ import annotations

import hashlib

MEMBER = "trained_patients.bin"
_BITS = 17


class KnownPatients:
    """The marks of one bundle; empty ones know nobody."""

    def __init__(self, marks: bytes = b"") -> None:
        self._marks = marks

    def __contains__(self, patient_key: str) -> bool:
        digest = hashlib.sha256(b"firstread patient " + patient_key.encode()).digest()
        place = int.from_bytes(digest[:4], "big") >> (32 - _BITS)
        at, bit = divmod(place, 8)
        return at < len(self._marks) and bool(self._marks[at] & (0x80 >> bit))
