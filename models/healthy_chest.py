"""The healthy chest that a bundle carries: the mean of many children's radiographs without the finding.

It stands in for what `models.occlusion` hides. A worker has only the bundle, and a bundle must hold nobody's
radiograph: a mean of hundreds, each moved until its thorax lies where the others' do, is nobody's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.bundle_file import HEALTHY_CHEST
from models.dataset import Labelled
from models.preprocess import Float
from models.stress import network_input
from models.thorax import OUTLINE, Thorax, find_thorax, laid_over

MOST = 400
LEAST = 200
"""Radiographs in the mean; below this many there is none, lest somebody be known by it."""
_SHARPER = 0.025
"""Standard deviation, as a share of the side, of the neighbourhood from which the mean is set off as far
again: averaging softens ribs and vessels, and a lung without them looks less healthy to the network."""


def healthy_member(learning: Labelled, *, seed: int) -> dict[str, bytes]:
    """The bundle's member, or none."""
    png = mean_healthy_chest(learning, seed=seed)
    return {} if png is None else {HEALTHY_CHEST: png}


def mean_healthy_chest(learning: Labelled, *, seed: int) -> bytes | None:
    """PNG, uint8 (side, side), of the images of training without the first finding, thoraces laid upon that
    of the atlas; None where there are too few with a thorax.
    """
    without = np.flatnonzero(learning.labels[:, 0] < 0.5)
    drawn = np.random.default_rng((seed, 2)).permutation(without)
    atlas = Thorax(OUTLINE, 1.0)
    total: Float = np.zeros(learning.images.shape[1:], np.float32)
    count = 0
    for at in drawn:
        thorax = find_thorax(learning.images[at])
        if thorax is None:
            continue
        total += laid_over(network_input(learning.images[at][None])[0, 0], its=thorax, on=atlas)
        count += 1
        if count == MOST:
            break
    return as_png(np.asarray(total / count, dtype=np.float32)) if count >= LEAST else None


def as_png(mean: Float) -> bytes:
    """The mean, sharpened, as a grey picture."""
    softer = cv2.GaussianBlur(mean, (0, 0), _SHARPER * mean.shape[0])
    sharp = 2 * mean - softer
    grey: NDArray[np.uint8] = np.clip(np.round((sharp + 1) * 127.5), 0, 255).astype(np.uint8)
    done, code = cv2.imencode(".png", grey)
    assert done
    return bytes(code.tobytes())
