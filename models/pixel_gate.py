"""What pixels alone rule out: pictures that cannot be a chest radiograph, whatever their header says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.preprocess import Float

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
        return (
            f"The image has {columns} x {rows} pixels; below {SMALLEST_SIDE} pixels a side "
            "a radiograph shows too little to read."
        )
    if max(rows, columns) > LONGEST_ASPECT * min(rows, columns):
        return f"The image is {columns} x {rows} pixels, a strip far longer than a chest radiograph."
    return None


def refuse_pixels(square: Float) -> str | None:
    """Why a squashed image (side, side), in its own grey levels, is withheld, or None."""
    side = square.shape[0]
    edge = side // 12
    field = square[edge : side - edge, edge : side - edge]
    low, high = (float(level) for level in np.percentile(field, (1, 99)))
    brightest = float(square.max())
    if high - low < max(_LEAST_CONTRAST * brightest, 1.0):
        return "The image is blank or nearly so: it has no contrast in which an organ could be seen."
    levels = np.clip((field - low) / (high - low), 0, 1)
    histogram = np.bincount((levels * 23.99).astype(np.intp).ravel(), minlength=24) / levels.size
    if float(histogram.max()) > _ONE_LEVEL_SHARE:
        return (
            "Most of the image is one flat grey, as in a text page, a drawing or a nearly empty picture, "
            "not a radiograph."
        )
    if _neighbour_correlation(levels) < _LEAST_CORRELATION:
        return (
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
