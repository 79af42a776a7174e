"""The one preprocessing: any grey radiograph to what the network takes. Training, evaluation and serving all
call it.

Squash to a square with an antialiasing triangle filter (what the training images were published with), then
smooth away what compression leaves and equalise by the histogram of the central field, so that exposure,
gamma and window of the sender do not matter.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Float = NDArray[np.float32]

PREPROCESSING_VERSION = "squash-smooth-equalise-1"
"""Changes whenever the same image would give other numbers; a bundle states the version it was trained with.
"""

LEVELS = 2048
SMOOTHING = 1 / 224
# Standard deviation as a share of the side. Below it lies what compression and resampling leave behind, and a
# network that sees that reads it as disease: without smoothing, frozen features gave the same radiograph,
# full size and as a small JPEG, probabilities that differed by .09; with it, .03.
FIELD = 0.08  # share of each side left out when grey levels are measured: markers, collimation, air
_LEAST_SHARE = 2


def squash(image: NDArray[np.uint8] | NDArray[np.uint16], *, side: int) -> Float:
    """The whole image as float32 (side, side), in the image's own grey levels.

    Takes uint8 or uint16 of shape (rows, columns), any size of at least 1 x 1; the aspect ratio is not kept.
    An image that has the wanted size already comes back unchanged.
    """
    if image.ndim != 2:
        raise ValueError(f"an image has rows and columns, this array has {image.ndim} dimensions")
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"an image has uint8 or uint16 grey levels, not {image.dtype}")
    # Far above the wanted size, averages of whole boxes come first: a tenth of the work, nearly the same
    # answer.
    box = min(image.shape) // reading_side(side)
    levels = Image.fromarray(image if image.dtype == np.uint8 else image.astype(np.float32))
    if box >= 2:
        levels = levels.reduce(box)
    # Pillow's filter for reducing is the triangle; in its mode F it computes with floats. As two products of
    # matrices the same numbers cost two to five times the processor time.
    return np.array(levels.convert("F").resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)


def reading_side(side: int) -> int:
    """How many pixels the shorter side of an image needs for a network of this side: whoever averages a
    larger one in whole boxes down to no fewer gets the same answer, and hands over a tenth of the bytes.
    """
    return _LEAST_SHARE * side


def standardise(square: Float) -> Float:
    """Smoothed, and grey levels replaced by their rank within the central field, -1 (darkest) to 1
    (brightest); float32, same shape.

    Rank is equal under every monotone change of grey levels, so gamma, window and bit depth of the sender
    fall away. The scale is that of the ImageNet weights, (x - 127) / 128 for x in 0..255. A constant image
    gives zeros.
    """
    side = square.shape[0]
    edge = round(FIELD * side)
    square = np.asarray(cv2.GaussianBlur(square, (0, 0), SMOOTHING * side), dtype=np.float32)
    low, high = float(square.min()), float(square.max())
    if not high > low:
        return np.zeros_like(square, dtype=np.float32)
    level = ((square - low) * np.float32((LEVELS - 1) / (high - low)) + 0.5).astype(np.int32)
    counts = np.bincount(level[edge : side - edge, edge : side - edge].ravel(), minlength=LEVELS)
    reached = np.cumsum(counts)
    # The middle of a level's own share: a large flat area (air) then has the same rank however its edge was
    # rounded.
    rank = (reached - counts / 2) / reached[-1]
    return np.asarray((rank * 2 - 1).astype(np.float32)[level])


def prepare(image: NDArray[np.uint8] | NDArray[np.uint16], *, side: int) -> Float:
    """What the network takes for this image: float32 (side, side), -1 to 1."""
    return standardise(squash(image, side=side))
