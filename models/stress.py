"""The stress validation: the same held-out patients as other X-ray rooms would have shown them, in three
grades.

Validation as everybody does it draws its patients from the same rooms as training and is blind to the change
of room. Choices are made on what this module gives, never on plain validation alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.acquisition import CHANGES
from models.preprocess import Float, standardise

GRADES = (0.33, 0.66, 1.0)
PLAIN = "plain"
MIXED = "mixed"


def shifted(images: NDArray[np.uint8], *, change: str, strength: float, seed: int) -> NDArray[np.uint8]:
    """Every image (n, side, side) under one named change; "mixed" draws two changes an image. The same seed
    gives the same pixels.
    """
    out = np.empty_like(images)
    for index, image in enumerate(images):
        draw = np.random.default_rng((seed, index))
        names = draw.choice(list(CHANGES), 2, replace=False) if change == MIXED else [change]
        picture: Float = image.astype(np.float32)
        for name in names:
            picture = CHANGES[str(name)](picture, strength, draw)
        out[index] = np.clip(np.round(picture), 0, 255)
    return out


def conditions(*, grades: tuple[float, ...] = GRADES) -> Iterator[tuple[str, float]]:
    """Every change by every grade, after the plain pictures and the mixture."""
    yield PLAIN, 0.0
    for name in (MIXED, *CHANGES):
        for grade in grades:
            yield name, grade


def network_input(images: NDArray[np.uint8]) -> Float:
    """Squashed images (n, side, side) as the network takes them, float32 (n, 1, side, side)."""
    return np.stack([standardise(image.astype(np.float32)) for image in images])[:, None]
