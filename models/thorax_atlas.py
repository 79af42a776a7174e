"""How the mean chest of `models.thorax` came about: radiographs brought into one place, then averaged."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.dataset import Labelled
from models.preprocess import Float
from models.thorax import SIDE, Picture, comparable, place

EACH_CLASS = 100
"""Images with and without the finding: the mean must be no more like the one than like the other."""
_ROUNDS = 4


def atlas_images(data: Labelled, *, seed: int = 0) -> Picture:
    """The images the atlas is made of, (2 * EACH_CLASS, side, side), out of those that may be trained on."""
    draw = np.random.default_rng(seed)
    truth = data.labels[:, 0] > 0.5
    chosen = [
        draw.choice(np.flatnonzero(truth == present), EACH_CLASS, replace=False) for present in (True, False)
    ]
    return np.asarray(data.images[np.concatenate(chosen)], dtype=np.uint8)


def fit_atlas(images: Picture) -> Picture:
    """The mean of the images (n, side, side), each placed upon the mean of the round before; uint8 (SIDE,
    SIDE).

    After every round the mean placement is taken out again, so that the chest neither wanders nor shrinks.
    """
    pictures = [comparable(image) for image in images]
    mean: Float = np.asarray(np.mean(pictures, axis=0), dtype=np.float32)
    for _ in range(_ROUNDS):
        placed = [
            (picture, np.vstack([matrix, [0, 0, 1]]))
            for picture, (_, matrix) in ((picture, place(mean, picture)) for picture in pictures)
            if matrix is not None
        ]
        back = np.linalg.inv(np.mean([matrix for _, matrix in placed], axis=0))
        moved = [_moved(picture, matrix @ back) for picture, matrix in placed]
        mean = np.asarray(np.mean(moved, axis=0), dtype=np.float32)
    low, high = float(mean.min()), float(mean.max())
    return np.asarray(np.round((mean - low) * (255 / (high - low))), dtype=np.uint8)


def _moved(picture: Float, matrix: NDArray[np.float64]) -> Float:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, matrix[:2], (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)
