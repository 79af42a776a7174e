"""Drawn chests: made from a seed alone, for checks that need a picture and must hold no patient."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def phantom(seed: int, *, rows: int = 256, columns: int = 256, opacity: bool = False) -> NDArray[np.uint8]:
    """A drawn frontal chest, uint8 (rows, columns), bone bright; with ``opacity`` a white patch lies in one
    lung.
    """
    draw = np.random.default_rng(seed)
    picture = np.full((256, 256), 18.0, np.float32)
    shift = int(draw.integers(-6, 7))

    def ellipse(centre: tuple[int, int], axes: tuple[int, int], level: float, turn: float = 0.0) -> None:
        cv2.ellipse(picture, centre, axes, turn, 0, 360, level, -1, cv2.LINE_AA)

    ellipse((128 + shift, 150), (100, 130), 135)
    lung = 60 + float(draw.integers(-12, 13))
    for side in (-1, 1):
        ellipse((128 + shift + side * 44, 128), (34 + int(draw.integers(-3, 4)), 82), lung, side * -4)
        for rib in range(9):
            centre = (128 + shift + side * 42, 62 + rib * 17)
            cv2.ellipse(picture, centre, (42, 14), 0, 190, 350, lung + 38, 3, cv2.LINE_AA)
    cv2.rectangle(picture, (120 + shift, 0), (136 + shift, 255), 190, -1)
    ellipse((140 + shift, 160), (38, 44), 185)
    ellipse((128 + shift, 262), (104, 46), 200)
    if opacity:
        patch = np.zeros_like(picture)
        where = (128 + shift + int(draw.choice([-1, 1])) * 46, 130 + int(draw.integers(-25, 40)))
        cv2.ellipse(patch, where, (24, 30), 0, 0, 360, 90, -1)
        picture += cv2.GaussianBlur(patch, (0, 0), 8)
    soft = cv2.GaussianBlur(picture, (0, 0), 1.5) + draw.normal(0, 3, picture.shape).astype(np.float32)
    resized = cv2.resize(np.clip(soft, 0, 255), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.round(resized), dtype=np.uint8)
