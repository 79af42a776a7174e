"""Where the thorax lies in a frontal chest radiograph: the outline of a mean chest, laid over the image.

The mean chest (`thorax_atlas.png`) is moved, scaled, turned and sheared until it correlates best with the
image (enhanced correlation coefficient, Evangelidis and Psarakis, IEEE PAMI 2008), and the outline drawn on
it by hand goes along. Ribs, spine and diaphragms carry the match, so that a white lung is found as well as a
black one. Nothing here is learnt from labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.preprocess import Float

Picture = NDArray[np.uint8]

ATLAS = Path(__file__).parent / "thorax_atlas.png"
SIDE = 80
"""Rows and columns in which images are compared: a rib is three points wide."""
EDGE = 4
"""Points along the atlas's rim that do not count: markers, collimation, what the image does not show."""
LEAST_LIKENESS = 0.5
"""Correlation with the mean chest below which no outline is given: the least of 573 radiographs kept out of
the atlas was .52, and noise, smoothed to any degree, reaches .4."""
_SPREAD = 0.15
"""Standard deviation, as a share of the side, of the neighbourhood against which grey levels are taken."""
_STEPS = 10
_KEEP = (3, 2, 2)
"""How many of the best placements go on, round by round, each of so many steps."""
_MOST_SHEAR = 0.15

OUTLINE = (
    np.array(
        [
            (285, 105), (245, 130), (200, 185), (160, 255), (128, 335), (108, 420), (97, 510), (92, 600),
            (95, 680), (130, 640), (180, 605), (240, 590), (300, 590), (390, 610), (450, 610), (520, 600),
            (560, 603), (620, 630), (670, 675), (700, 690), (703, 600), (693, 510), (680, 430), (655, 340),
            (620, 255), (580, 185), (535, 135), (500, 105), (390, 90),
        ],
        dtype=np.float64,
    )
    / 784
)  # fmt: skip
"""The thorax on the atlas, (29, 2) columns and rows as shares of the side: outside of the ribs, over the
apices, and along the diaphragms to the depth of the sulci. Heart and mediastinum are inside; arms, neck,
abdomen and the wall's soft parts are outside.
"""


@dataclass(frozen=True)
class Thorax:
    """Where the thorax lies in one image."""

    outline: NDArray[np.float64]
    """(29, 2) columns and rows as shares of the side; may reach beyond the picture."""
    likeness: float
    """Correlation with the mean chest, up to 1."""

    def mask(self, side: int) -> NDArray[np.bool_]:
        """True inside, (side, side)."""
        drawn = np.zeros((side, side), np.uint8)
        points = np.round(self.outline * side - 0.5).astype(np.int32)
        cv2.fillPoly(drawn, [points[:, None]], 1)
        return drawn > 0


def find_thorax(image: Picture) -> Thorax | None:
    """The thorax of an image squashed to a square, uint8 (side, side), bone bright; None where nothing like a
    chest is found.
    """
    likeness, matrix = place(atlas(), comparable(image))
    if matrix is None or likeness < LEAST_LIKENESS:
        return None
    points = (OUTLINE * SIDE - 0.5) @ matrix[:, :2].T + matrix[:, 2]
    return Thorax((points + 0.5) / SIDE, likeness)


def laid_over(other: Float, *, its: Thorax, on: Thorax) -> Float:
    """Another picture, float32 (side, side), moved, scaled, turned and sheared so that its thorax lies
    where this one's lies.
    """
    side = other.shape[0]
    # Both outlines are one outline after an affine map, so three of its corners would do; all are exact.
    there = np.column_stack([on.outline * side - 0.5, np.ones(len(on.outline))])
    matrix, *_ = np.linalg.lstsq(there, its.outline * side - 0.5, rcond=None)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(other, matrix.T, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)


@cache
def atlas() -> Float:
    """The mean chest, float32 (SIDE, SIDE), in any unit: the match does not depend on level and scale."""
    stored = cv2.imdecode(np.fromfile(ATLAS, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    assert stored is not None, f"{ATLAS.name} is part of the program"
    return np.asarray(stored, dtype=np.float32)


def comparable(image: Picture) -> Float:
    """An image as it is compared, float32 (SIDE, SIDE): equalised, each point against its neighbourhood."""
    small = cv2.equalizeHist(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    level = small.astype(np.float32) / 255
    mean = cv2.GaussianBlur(level, (0, 0), SIDE * _SPREAD)
    spread = np.sqrt(cv2.GaussianBlur((level - mean) ** 2, (0, 0), SIDE * _SPREAD))
    return np.asarray(cv2.GaussianBlur((level - mean) / (spread + 0.05), (0, 0), 1.0), dtype=np.float32)


def place(mean_chest: Float, image: Float) -> tuple[float, Float | None]:
    """How well the mean chest fits, and the matrix (2, 3) from its points to the image's; without a fit that
    a chest could have, -1 and None.
    """
    counted = np.zeros((SIDE, SIDE), np.uint8)
    counted[EDGE:-EDGE, EDGE:-EDGE] = 255

    def improved(matrix: Float, steps: int) -> tuple[float, Float] | None:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-4)
        try:
            likeness, found = cv2.findTransformECC(
                mean_chest, image, matrix, cv2.MOTION_AFFINE, criteria, counted, 5
            )
        except cv2.error:  # the two have drifted apart: this start leads nowhere
            return None
        upright = _upright(np.asarray(found, dtype=np.float64))
        return None if upright is None else (float(likeness), upright)

    found = [better for start in _starts() if (better := improved(start, _STEPS)) is not None]
    for keep in _KEEP:
        found.sort(key=lambda one: -one[0])
        found = [better for _, start in found[:keep] if (better := improved(start, _STEPS)) is not None]
    return max(found, key=lambda one: one[0], default=(-1.0, None))


def _starts() -> Iterator[Float]:
    """Nearer and farther, higher and lower: the match finds its way only from close by."""
    centre = (SIDE - 1) / 2
    for scale in (1.0, 0.85, 1.18):
        for down in (0.0, -0.08, 0.08):
            move = centre - scale * centre
            yield np.array([[scale, 0, move], [0, scale, move + down * SIDE]], np.float32)


def _upright(matrix: NDArray[np.float64]) -> Float | None:
    """The placement with no more shear than a chest can have, or None where no chest lies so: less than a
    sixth of the atlas's area or more than four times it, lying on its side, mirrored.

    Without the limit the ribs of one side may come to lie on the liver and those of the other on the arm.
    """
    across, down = matrix[:, 0], matrix[:, 1]
    height = float(np.linalg.norm(down))
    area = float(across[0] * down[1] - across[1] * down[0])
    turn = float(np.degrees(np.arctan2(-down[0], down[1])))
    if not (0.15 < area < 4 and abs(turn) < 45):
        return None
    unit = down / height
    square = np.array([unit[1], -unit[0]])
    width = float(across @ square)
    shear = float(np.clip(across @ unit, -_MOST_SHEAR * width, _MOST_SHEAR * width))
    middle = (SIDE - 1) / 2 * np.ones(2)
    centre = matrix[:, :2] @ middle + matrix[:, 2]
    limited = np.column_stack([width * square + shear * unit, down])
    return np.column_stack([limited, centre - limited @ middle]).astype(np.float32)


def draw_outlines(images: Picture, *, columns: int = 10, tile: int = 200) -> NDArray[np.uint8]:
    """A contact sheet for the eye, BGR: images (n, side, side) in rows, each with its number and outline."""
    tiles = []
    for number, image in enumerate(images):
        shown = cv2.resize(cv2.equalizeHist(image), (tile, tile), interpolation=cv2.INTER_CUBIC)
        coloured = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR)
        thorax = find_thorax(image)
        said = "none" if thorax is None else f"{thorax.likeness:.2f}"
        if thorax is not None:
            points = np.round(thorax.outline * tile - 0.5).astype(np.int32)
            cv2.polylines(coloured, [points[:, None]], True, (0, 220, 255), 1, cv2.LINE_AA)
        cv2.putText(
            coloured, f"{number} {said}", (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 0), 1, cv2.LINE_AA
        )
        tiles.append(coloured)
    empty = np.zeros((tile, tile, 3), np.uint8)
    tiles += [empty] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]
    return np.vstack(rows).astype(np.uint8)
