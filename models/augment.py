"""Training pictures made harder: what differs between X-ray rooms is drawn anew each time, and mixed across
classes.

Framing, grey levels and sharpness come from `models.acquisition`. The surroundings of the chest (markers,
clothes, background, lines) are now and then those of another picture of any class, so that they tell nothing
of the label.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.acquisition import CHANGES, crop
from models.preprocess import Float, standardise

DRAWING_VERSION = "1"
"""Raised with every change of what `training_picture` draws: kept features are of one version."""
_TONE = ("exposure", "contrast", "histogram", "curve", "background")
_SHARPNESS = ("blur", "sharpen", "noise", "resolution", "compression")


def training_picture(
    picture: NDArray[np.uint8], others: NDArray[np.uint8], draw: np.random.Generator, *, strength: float = 1.0
) -> Float:
    """The network's input made from one picture (side, side), with surroundings and tone borrowed from
    ``others`` (m, side, side).
    """
    changed = picture.astype(np.float32)
    if draw.random() < 0.5 * strength:
        changed = _borrow_surroundings(changed, others[draw.integers(len(others))].astype(np.float32), draw)
    changed = _reframe(changed, draw, strength)
    if draw.random() < 0.3 * strength:
        changed = _borrow_tone(changed, others[draw.integers(len(others))])
    for group, chance in ((_TONE, 0.6), (_SHARPNESS, 0.6), (_SHARPNESS, 0.25)):
        if draw.random() < chance * strength:
            changed = CHANGES[str(draw.choice(group))](changed, draw.uniform(0.1, 0.9), draw)
    if draw.random() < 0.3 * strength:
        changed = CHANGES["markers"](changed, draw.uniform(0.2, 1.0), draw)
    if draw.random() < 0.3 * strength:
        changed = CHANGES["borders"](changed, draw.uniform(0.2, 1.0), draw)
    return standardise(np.clip(changed, 0, 255))


def _reframe(picture: Float, draw: np.random.Generator, strength: float) -> Float:
    """Crop, turn, stretch and shift in one resampling. Left and right are never swapped: the heart has its
    side.
    """
    if draw.random() < 0.25 * strength:
        picture = crop(picture, draw.uniform(0.3, 1.0), draw)
    side = picture.shape[0]
    turn = np.deg2rad(draw.normal(0, 7) * strength)
    zoom = np.exp(draw.normal(0.02, 0.09) * strength)
    # A picture's shape goes along with the label (`models.framing`): it is drawn anew over a range far wider
    # than the difference between the classes, now by more or less of neck and belly, now of the arms.
    shape, share = draw.uniform(-0.36, 0.36) * strength, draw.random()
    shear = draw.normal(0, 0.04) * strength
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array(
        [[zoom * np.exp(-shape * (1 - share)), shear], [0, zoom * np.exp(shape * share)]]
    )
    centre = np.array([side / 2, side / 2])
    move = centre - matrix @ centre + draw.normal(0, (0.03, 0.045), 2) * strength * side
    mode = cv2.BORDER_CONSTANT if draw.random() < 0.7 else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(
            picture, np.column_stack([matrix, move]), (side, side), flags=cv2.INTER_LINEAR, borderMode=mode
        ),
        dtype=np.float32,
    )


def _borrow_surroundings(picture: Float, other: Float, draw: np.random.Generator) -> Float:
    """The middle of one picture within the surroundings of another, matched in level and blended softly."""
    side = picture.shape[0]
    mask = np.zeros((side, side), np.float32)
    half = draw.uniform(0.38, 0.47, 2) * side
    centre = (int(side / 2 + draw.normal(0, 0.02) * side), int(side * 0.54 + draw.normal(0, 0.02) * side))
    if draw.random() < 0.5:
        cv2.ellipse(mask, centre, (int(half[0]), int(half[1])), 0, 0, 360, 1.0, -1)
    else:
        top_left = (int(centre[0] - half[0]), int(centre[1] - half[1]))
        cv2.rectangle(mask, top_left, (int(centre[0] + half[0]), int(centre[1] + half[1])), 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), draw.uniform(2, 8)), dtype=np.float32)
    return np.asarray(picture * soft + other * (1 - soft), dtype=np.float32)


def _borrow_tone(picture: Float, other: NDArray[np.uint8]) -> Float:
    """The picture with the histogram of another."""
    cumulative = (
        np.cumsum(np.bincount(np.clip(picture, 0, 255).astype(np.uint8).ravel(), minlength=256))
        / picture.size
    )
    wanted = np.cumsum(np.bincount(other.ravel(), minlength=256)) / other.size
    levels = np.interp(cumulative, wanted, np.arange(256)).astype(np.float32)
    return np.asarray(np.interp(picture, np.arange(256), levels), dtype=np.float32)
