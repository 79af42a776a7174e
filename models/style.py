"""How an image was taken, as far as it gives away the label: what a classifier says of the picture with the
chest hidden.

In a set where sick children were taken in bed and healthy ones in the department, markers, lines, clothes and
background tell the classes apart by themselves. The images whose surroundings speak against their label are
where a network that cheats is caught.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.dataset import Labelled, split_by_patient
from models.features import FrozenFeatures, fit_head
from models.figures import Array
from models.preprocess import Float

FOLDS = 5
CONFLICT_SHARE = 0.2


def surroundings(images: NDArray[np.uint8]) -> Float:
    """Pictures (n, 1, side, side) in which an ellipse over the chest is plain grey; grey levels are as sent,
    since tone is style.
    """
    side = images.shape[1]
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(
        mask, (side // 2, round(side * 0.56)), (round(side * 0.42), round(side * 0.45)), 0, 0, 360, 255, -1
    )
    pictures = (images.astype(np.float32) - 127) / 128
    pictures[:, mask > 0] = 0
    return np.asarray(pictures[:, None], dtype=np.float32)


def surroundings_score(
    images: NDArray[np.uint8],
    truth: NDArray[np.float32],
    patients: NDArray[np.str_],
    *,
    seed: int,
    threads: int,
) -> Array:
    """For each image how much its surroundings look like those of the finding, as log odds.

    Every score comes from a classifier that saw no image of the same patient (five folds by patient).
    """
    frozen = FrozenFeatures(side=images.shape[1], threads=threads)
    features = frozen.of(
        lambda first, last: surroundings(images[first:last]), len(images), on_images=lambda *_: None
    )
    fold = split_by_patient(patients, shares=[1 / FOLDS] * FOLDS, seed=seed)
    score = np.zeros(len(images))
    for number in range(FOLDS):
        weight, bias = fit_head(features[fold != number], truth[fold != number, None])
        score[fold == number] = features[fold == number] @ weight[0] + bias[0]
    return score


def conflicting(
    truth: NDArray[np.float32], score: Array, *, share: float = CONFLICT_SHARE
) -> NDArray[np.bool_]:
    """The images whose surroundings speak most against their label: this share of each class."""
    positive = truth > 0.5
    chosen = np.zeros(len(truth), dtype=np.bool_)
    if positive.any() and (~positive).any():
        chosen[positive] = score[positive] <= np.quantile(score[positive], share)
        chosen[~positive] = score[~positive] >= np.quantile(score[~positive], 1 - share)
    return chosen


def misleading(data: Labelled, *, seed: int, threads: int) -> NDArray[np.bool_]:
    """The images of ``data`` whose surroundings speak most against their first label."""
    truth = data.labels[:, 0]
    score = surroundings_score(data.images, truth, data.patients, seed=seed, threads=threads)
    return conflicting(truth, score)
