"""Where letters seem to be burned into a picture: rows of small flat shapes of one height, brighter or darker
than what is around them.

A single side marker is no text. A device's own words are taken for text too, as nobody can tell them from a
name without reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_LONGEST_SIDE = 2048
_SMALLEST, _LARGEST_SHARE = 6, 1 / 12
"""Pixels of a letter's height, and its part of the shorter side."""
_CONTRAST = 50
_FLAT = 40.0
_MOST_SHAPES = 4000
"""Of one kind; with more, whether there are letters among them is not searched, but taken for granted."""
_ENDS_SHARE = 0.05
"""Part of the range of samples, at either end, that a display often shows as one white or one black."""
_FEWEST_LETTERS = 4


@dataclass(frozen=True)
class Box:
    """Rows and columns of a picture, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int


def text_boxes(grey: NDArray[np.uint8]) -> tuple[Box, ...]:
    """A box for each line of what seems to be text, a letter's height wider on all sides.

    `grey` is (rows, columns). The box is the whole picture where it has too many shapes to tell.
    """
    scale = min(1.0, _LONGEST_SIDE / max(grey.shape))
    picture = grey
    if scale < 1:
        picture = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    boxes = [line for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT) for line in _lines(picture, kind)]
    return tuple(_around(line, scale, grey.shape[:2]) for line in boxes)


def deep_text_boxes(
    samples: NDArray[np.uint16], *, ranges: tuple[tuple[int, int], ...] = ()
) -> tuple[Box, ...]:
    """As `text_boxes`, of what another window would show: the whole range of the samples (rows, columns), and
    its lowest and highest twentieth.

    The range is taken with and without its single outliers; `ranges` are further ones to look at.
    """
    calm = cv2.medianBlur(samples, 3).astype(np.uint16)
    found: list[Box] = []
    for low, high in dict.fromkeys([_ends_of(samples), _ends_of(calm), *ranges]):
        part = _ENDS_SHARE * (high - low)
        for first, last in ((low, high), (high - part, high), (low, low + part)):
            found.extend(text_boxes(_stretched(samples, first, last)))
    return tuple(dict.fromkeys(found))


def covers(boxes: tuple[Box, ...], shape: tuple[int, ...]) -> bool:
    """True where one box is the whole picture of these rows and columns: nothing of it would be left."""
    return Box(0, 0, shape[0], shape[1]) in boxes


def painted_over(grey: NDArray[np.uint8], boxes: tuple[Box, ...]) -> NDArray[np.uint8]:
    """The picture with black in the boxes."""
    painted = grey.copy()
    for box in boxes:
        painted[box.top : box.bottom, box.left : box.right] = 0
    return painted


def _ends_of(samples: NDArray[np.uint16]) -> tuple[int, int]:
    return int(samples.min()), int(samples.max())


def _stretched(samples: NDArray[np.uint16], low: float, high: float) -> NDArray[np.uint8]:
    every = np.arange(65536, dtype=np.float64)
    table = np.clip((every - low) / max(high - low, 1.0), 0, 1) * 255
    return np.asarray(table.astype(np.uint8)[samples])


def _lines(picture: NDArray[np.uint8], kind: int) -> list[NDArray[np.int64]]:
    """Left, top, right and bottom of each row of letters."""
    side = max(9, min(picture.shape) // 40 | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    standing_out = cv2.morphologyEx(picture, kind, kernel)
    count, labels, found, _ = cv2.connectedComponentsWithStats((standing_out > _CONTRAST).astype(np.uint8))
    left, top, width, height, area = (found[:, at].astype(np.int64) for at in range(5))
    alike = (height >= _SMALLEST) & (height <= min(picture.shape) * _LARGEST_SHARE) & (width <= 2 * height)
    alike &= (area >= 0.12 * width * height) & (area > 8)
    alike[0] = False
    flat = np.zeros(count, np.bool_)
    shapes = np.flatnonzero(alike)
    if len(shapes) > _MOST_SHAPES:
        return [np.array([0, 0, picture.shape[1], picture.shape[0]], np.int64)]
    for shape in shapes:
        rows = slice(top[shape], top[shape] + height[shape])
        columns = slice(left[shape], left[shape] + width[shape])
        inside = picture[rows, columns][labels[rows, columns] == shape]
        flat[shape] = inside.std() < _FLAT
    letters = np.stack([left, top, left + width, top + height], axis=1)[flat]
    return _rows_of(letters[np.argsort(letters[:, 0], kind="stable")])


def _rows_of(letters: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Letters that follow each other from left to right, of like height and on one line."""
    rows: list[list[NDArray[np.int64]]] = []
    for letter in letters:
        row = next((row for row in rows if _follows(row[-1], letter)), None)
        if row is None:
            rows.append([letter])
        else:
            row.append(letter)
    joined = [np.stack(row) for row in rows if len(row) >= _FEWEST_LETTERS]
    return [np.concatenate([row[:, :2].min(0), row[:, 2:].max(0)]) for row in joined]


def _follows(before: NDArray[np.int64], letter: NDArray[np.int64]) -> bool:
    heights = sorted((int(before[3] - before[1]), int(letter[3] - letter[1])))
    overlap = min(before[3], letter[3]) - max(before[1], letter[1])
    gap = letter[0] - before[2]
    return bool(
        heights[1] <= 1.7 * heights[0] and overlap >= 0.6 * heights[0] and -2 <= gap <= 1.2 * heights[1]
    )


def _around(line: NDArray[np.int64], scale: float, shape: tuple[int, ...]) -> Box:
    margin = line[3] - line[1]
    left, top, right, bottom = (line + np.array([-margin, -margin, margin, margin])) / scale
    return Box(
        max(int(top), 0), max(int(left), 0), min(int(bottom) + 1, shape[0]), min(int(right) + 1, shape[1])
    )
