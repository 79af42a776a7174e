"""Pictures that are nearly the same: recompressed, resized, brightened, shown with another window.

A hash of the coarse structure finds who may be alike, without comparing everybody with everybody; the
pictures themselves, small and equalised, then decide. Radiographs of a chest are all alike, so the hash alone
would call strangers copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from models.preprocess import Float, standardise

SIDE = 32
LEAST_CORRELATION = 0.985
"""Of the equalised pictures of this side. Copies made anew as JPEG of quality 30, brighter, with another
gamma or of half the size lie above it; no two patients of the Kermany set do."""
_HASH_BITS = 128
_BANDS = 8
_MOST_IN_BAND = 64
"""Of pictures that share a band, each is compared with so many that follow: a band that thousands share says
nothing."""


def small(square: NDArray[np.uint8]) -> Float:
    """What is compared: float32 (32, 32), grey levels as ranks, of mean 0 and length 1.

    ``square`` is uint8 (side, side), squashed. A blank picture gives zeros.
    """
    reduced = cv2.resize(square.astype(np.float32), (SIDE * 2, SIDE * 2), interpolation=cv2.INTER_AREA)
    ranks = cv2.resize(
        standardise(np.asarray(reduced, np.float32)), (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    centred = ranks - ranks.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length if length > 0 else centred, dtype=np.float32)


def groups(smalls: Float) -> list[list[int]]:
    """Which of the pictures (n, 32, 32), as `small` gives them, are nearly the same: each group of two or
    more in ascending order. Whoever is like one of a group belongs to it.
    """
    leader = list(range(len(smalls)))

    def of(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    flat = smalls.reshape(len(smalls), -1)
    for one, other in _candidates(smalls):
        first, second = of(one), of(other)
        if first != second and float(flat[one] @ flat[other]) >= LEAST_CORRELATION:
            leader[max(first, second)] = min(first, second)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(smalls)):
        members[of(index)].append(index)
    return [group for group in members.values() if len(group) > 1]


def _candidates(smalls: Float) -> Iterator[tuple[int, int]]:
    """Pairs whose hashes share a band: all that differ in fewer bits than there are bands."""
    hashes = np.array([_hash(picture) for picture in smalls], dtype=np.uint16).reshape(-1, _BANDS)
    for band in range(_BANDS):
        order = np.argsort(hashes[:, band], kind="stable")
        values = hashes[order, band]
        for start, end in _runs(values):
            for place in range(start, end):
                for other in order[place + 1 : min(end, place + 1 + _MOST_IN_BAND)]:
                    yield int(order[place]), int(other)


def _runs(values: NDArray[np.uint16]) -> Iterator[tuple[int, int]]:
    """First and end of each run of equal values that is longer than one."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    yield from ((first, end) for first, end in pairwise(edges) if end - first > 1)


def _hash(picture: Float) -> NDArray[np.uint16]:
    """128 signs of the lowest frequencies of the cosine transform (without the mean), in bands of 16 bits."""
    frequencies = cv2.dct(picture)
    chosen = frequencies[_LOWEST_ROWS, _LOWEST_COLUMNS]
    bits = np.packbits(chosen > np.median(chosen))
    return bits.view(np.uint16)


def _lowest() -> tuple[Sequence[int], Sequence[int]]:
    places = sorted(
        ((row, column) for row in range(SIDE) for column in range(SIDE) if row + column > 0),
        key=lambda place: (place[0] + place[1], place),
    )[:_HASH_BITS]
    return [row for row, _ in places], [column for _, column in places]


_LOWEST_ROWS, _LOWEST_COLUMNS = _lowest()
