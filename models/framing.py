"""The same chest in other frames: how wide a picture is, how much neck and belly it shows, where it is
collimated.

Who is photographed how is decided by age, illness and room, so a frame goes along with a label without being
disease. In the full-size images kept from the Kermany set, those with pneumonia are 1.51 times as wide as
high and those without 1.26 times; after squashing, that is a narrower chest. The frame that serves each
image worst shows how far a network leans on it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def _scaled(across: float, down: float, *, moved: float = 0.0) -> Callable[[Picture], Picture]:
    """The chest wider by ``across`` and longer by ``down``, moved down by a share of the side."""

    def frame(picture: Picture) -> Picture:
        side = picture.shape[0]
        matrix = np.diag([across, down])
        move = side / 2 - matrix @ np.full(2, side / 2) + np.array([0.0, moved * side])
        turned = cv2.warpAffine(
            picture, np.column_stack([matrix, move]), (side, side), borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(turned, dtype=np.uint8)

    return frame


def _collimated(picture: Picture) -> Picture:
    changed, width = picture.copy(), round(0.06 * picture.shape[0])
    changed[:width] = 0
    changed[picture.shape[0] - width :] = 0
    return changed


FRAMES: dict[str, Callable[[Picture], Picture]] = {
    "as sent": lambda picture: picture,
    "less neck and belly": _scaled(1, 1 / 0.84),
    "less arms": _scaled(1 / 0.84, 1),
    "narrower": _scaled(0.84, 1),
    "flatter": _scaled(1, 0.84),
    "smaller": _scaled(0.85, 0.85),
    "larger": _scaled(1.15, 1.15),
    "higher": _scaled(1, 1, moved=-0.06),
    "lower": _scaled(1, 1, moved=0.06),
    "collimated above and below": _collimated,
}


def framed(images: Picture, name: str) -> Picture:
    """Every image (n, side, side) in the frame of that name."""
    return np.stack([FRAMES[name](image) for image in images])


def worst_of_frames(
    score: Callable[[Picture], NDArray[np.float64]], images: Picture, truth: NDArray[np.generic]
) -> NDArray[np.float64]:
    """For each image (n, side, side) the score that speaks most against its label, over all frames.

    ``score`` gives one number an image, higher for the finding. The outcome is a bound from below: no real
    department chooses the frame against the network.
    """
    positive = np.asarray(truth) > 0.5
    worst = np.where(positive, np.inf, -np.inf)
    for name in FRAMES:
        said = score(framed(images, name))
        worst = np.where(positive, np.minimum(worst, said), np.maximum(worst, said))
    return worst
