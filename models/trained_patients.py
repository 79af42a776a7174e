"""Which patients a bundle has learnt from, so that nobody it knows judges what is made of it; and on which it
was calibrated, which flatters it where they do.

A bundle carries no patient's key: each key sets one of 131,072 marks, and other keys may set the same one. So
a stranger is now and then taken for known (one in forty beside 3,300 patients), which costs a held-out
patient and nothing else. Whoever has a list of keys can still tell who was probably among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.bundle_file import TRAINED_PATIENTS

_BITS = 17
_BYTES = 2**_BITS // 8


def trained_member(
    patients: Iterable[str], *, calibrated: Iterable[str] = (), before: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """The bundle's member that marks these patients, and those marked in the members of the bundle from which
    training went on; after these marks come those of the patients ``calibrated`` on.
    """
    marks = np.zeros(2**_BITS, np.bool_)
    if before is not None and TRAINED_PATIENTS in before:
        marks |= _marks(before[TRAINED_PATIENTS])
    marks[[_place(patient) for patient in patients]] = True
    others = np.zeros(2**_BITS, np.bool_)
    others[[_place(patient) for patient in calibrated]] = True
    return {TRAINED_PATIENTS: np.packbits(np.concatenate([marks, others])).tobytes()}


def taught_by(members: Mapping[str, bytes], patients: NDArray[np.str_]) -> NDArray[np.bool_] | None:
    """For each patient whether the bundle of these members has probably learnt from them; None where the
    bundle does not say (formats 1 to 4).
    """
    if TRAINED_PATIENTS not in members:
        return None
    return _marked(_marks(members[TRAINED_PATIENTS]), patients)


def calibrated_by(members: Mapping[str, bytes], patients: NDArray[np.str_]) -> NDArray[np.bool_] | None:
    """For each patient whether the bundle of these members was probably calibrated on them; None where the
    bundle does not say: it is of an older program.
    """
    member = members.get(TRAINED_PATIENTS, b"")
    return _marked(_marks(member[_BYTES:]), patients) if len(member) >= 2 * _BYTES else None


def _marked(marks: NDArray[np.bool_], patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    return np.array([marks[_place(str(patient))] for patient in patients], dtype=np.bool_)


def _marks(member: bytes) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(member, np.uint8)[:_BYTES]).astype(np.bool_)


def _place(patient: str) -> int:
    digest = hashlib.sha256(b"firstread patient " + patient.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _BITS)
