"""What pixels alone rule out: pictures that cannot be a chest radiograph, whatever their header says, and
chests that stand so that the network must not read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.preprocess import Float
from models.sentence import sentence

SMALLEST_SIDE = 64
LONGEST_ASPECT = 4.0
_LEAST_CONTRAST = 0.02  # of the brightest level
_ONE_LEVEL_SHARE = 0.5
_LEAST_CORRELATION = 0.65
# Pure noise of any size reaches .59 after squashing; radiographs as noisy as the stress validation makes them
# stay above.


def refuse_shape(rows: int, columns: int) -> str | None:
    """Why an image of this many pixels is withheld, or None. Asked before anything is computed."""
    if min(rows, columns) < SMALLEST_SIDE:
        return sentence(
            f"The image has {columns} x {rows} pixels; below {SMALLEST_SIDE} pixels a side "
            "a radiograph shows too little to read."
        )
    if max(rows, columns) > LONGEST_ASPECT * min(rows, columns):
        return sentence(
            f"The image is {columns} x {rows} pixels, a strip far longer than a chest radiograph."
        )
    return None


def refuse_pixels(square: Float) -> str | None:
    """Why a squashed image (side, side), in its own grey levels, is withheld, or None."""
    side = square.shape[0]
    edge = side // 12
    field = square[edge : side - edge, edge : side - edge]
    low, high = (float(level) for level in np.percentile(field, (1, 99)))
    brightest = float(square.max())
    if high - low < max(_LEAST_CONTRAST * brightest, 1.0):
        return sentence(
            "The image is blank or nearly so: it has no contrast in which an organ could be seen."
        )
    levels = np.clip((field - low) / (high - low), 0, 1)
    histogram = np.bincount((levels * 23.99).astype(np.intp).ravel(), minlength=24) / levels.size
    if float(histogram.max()) > _ONE_LEVEL_SHARE:
        return sentence(
            "Most of the image is one flat grey, as in a text page, a drawing or a nearly empty picture, "
            "not a radiograph."
        )
    if _neighbour_correlation(levels) < _LEAST_CORRELATION:
        return sentence(
            "The image looks like noise: neighbouring points have little to do with each other, "
            "unlike in a radiograph."
        )
    return None


def _neighbour_correlation(levels: NDArray[np.float32]) -> float:
    centred = levels - levels.mean()
    variance = float((centred**2).mean())
    across = float((centred[:, 1:] * centred[:, :-1]).mean())
    down = float((centred[1:] * centred[:-1]).mean())
    return min(across, down) / variance


POSES = ("upright", "turned left", "upside-down", "turned right")
"""Each a quarter further counter-clockwise."""
PART, STRANGER, INVERTED, MIRRORED = "part", "stranger", "inverted", "mirrored"
LABELS = (*POSES, *(f"inverted {pose}" for pose in POSES), PART, STRANGER, MIRRORED)
"""What a bundle's heads tell apart; all but the last exclude each other."""

INVERTED_NOTICE = sentence("grey levels appear inverted: the network read them turned round")
MIRRORED_NOTICE = sentence("heart on the right of the chest: mirrored, or situs inversus")
POLARITY_UNSURE = sentence(
    "The grey levels appear inverted, with dark bones, and could not be put right with certainty."
)
_WITHHELD = {
    "turned left": sentence("The chest appears turned, head to the left; the network reads upright chests."),
    "turned right": sentence(
        "The chest appears turned, head to the right; the network reads upright chests."
    ),
    "upside-down": sentence("The chest appears to stand upside down; the network reads upright chests."),
    PART: sentence("The picture appears to show only a part of a chest; the network reads whole chests."),
    STRANGER: sentence("The picture does not look like a chest radiograph."),
}


@dataclass(frozen=True)
class Stance:
    """What the heads say of an image, as far as they are certain."""

    withheld: str | None = None
    """A sentence why the network must not read it."""
    inverted: bool = False
    mirrored: bool = False


def margins(logits: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
    """Log odds, (n,), from logits of LABELS (n, 11): of each of what is withheld against an upright chest of
    either polarity, of an upright chest's grey levels being inverted, and of its being mirrored.
    """
    said = np.asarray(logits, dtype=np.float64)
    count = len(POSES)
    either = np.logaddexp(said[:, :count], said[:, count : 2 * count])
    odds = {pose: either[:, turns] - either[:, 0] for turns, pose in enumerate(POSES) if turns}
    return odds | {
        PART: said[:, LABELS.index(PART)] - either[:, 0],
        STRANGER: said[:, LABELS.index(STRANGER)] - either[:, 0],
        INVERTED: said[:, count] - said[:, 0],
        MIRRORED: said[:, LABELS.index(MIRRORED)],
    }


def stance(logits: NDArray[np.generic], limits: Mapping[str, float]) -> Stance:
    """What is certain of one image from its logits (11,) by the bundle's limits; without them nothing is."""
    if not limits or not len(logits):
        return Stance()
    beyond = {name: float(odds[0]) - limits[name] for name, odds in margins(logits[None]).items()}
    worst = max(_WITHHELD, key=lambda name: beyond[name])
    if beyond[worst] > 0:
        return Stance(withheld=_WITHHELD[worst])
    inverted = beyond[INVERTED] > 0
    return Stance(inverted=inverted, mirrored=not inverted and beyond[MIRRORED] > 0)
