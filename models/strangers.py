"""Pictures that are no chest radiograph, drawn from a seed: pages, screens, scenes, patterns and noise.

The gate learns from these what it must refuse; `models.other_parts` draws other parts of the body. None is
taken from a patient or from anybody's picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Draw = np.random.Generator
Picture = NDArray[np.uint8]

_WORDS = [
    *("the patient", "was seen", "today", "with cough", "fever", "since three", "days", "no effusion"),
    *("heart", "size", "normal", "report of", "radiograph", "please", "find", "enclosed", "signed", "doctor"),
    *("date", "name", "ward", "bed 12", "4.5 mg", "daily", "left", "right", "upper lobe", "lower"),
]
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
_LARGE = 320


def _level(draw: Draw, low: int = 0, high: int = 255) -> int:
    return int(draw.integers(low, high + 1))


def _write(picture: Picture, draw: Draw, box: tuple[int, int, int, int], ink: int, scale: float) -> None:
    """Lines of words in a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    font = _FONTS[int(draw.integers(len(_FONTS)))]
    thickness = 2 if scale > 0.7 or draw.random() < 0.2 else 1
    step = max(8, round(scale * draw.uniform(26, 44)))
    for base in range(top + step, bottom, step):
        if draw.random() < 0.12:
            continue
        words = " ".join(draw.choice(_WORDS, int(draw.integers(2, 11))))
        end = right if draw.random() < 0.7 else left + int((right - left) * draw.uniform(0.2, 1))
        line = np.ascontiguousarray(picture[:, :end])
        cv2.putText(line, words, (left, base), font, scale, ink, thickness, cv2.LINE_AA)
        picture[:, :end] = line


def page(draw: Draw) -> Picture:
    """A page of writing, in columns, sometimes with a heading, a table or a stamp; dark on light or the other
    way round.
    """
    rows, columns = int(draw.integers(300, 520)), int(draw.integers(240, 480))
    picture = np.full((rows, columns), _level(draw, 200), np.uint8)
    margin = int(draw.integers(8, 50))
    count = int(draw.integers(1, 4))
    width = (columns - 2 * margin) // count
    ink = _level(draw, 0, 90)
    for column in range(count):
        left = margin + column * width
        box = (left, margin + int(draw.integers(0, 60)), left + width - 8, rows - margin)
        _write(picture, draw, box, ink, draw.uniform(0.25, 1.1))
    if draw.random() < 0.4:
        top, below = sorted(int(at) for at in draw.integers(0, rows, 2))
        for row in np.linspace(top, below, int(draw.integers(2, 8))).astype(int):
            cv2.line(picture, (margin, row), (columns - margin, row), ink, 1)
    if draw.random() < 0.3:
        centre = (int(draw.integers(columns)), int(draw.integers(rows)))
        cv2.circle(picture, centre, int(draw.integers(15, 60)), _level(draw, 60, 160), 3)
    return 255 - picture if draw.random() < 0.35 else picture


def screen(draw: Draw) -> Picture:
    """A screen with bars, panels, buttons, lists and writing; light or dark."""
    rows, columns = int(draw.integers(220, 400)), int(draw.integers(300, 600))
    dark = draw.random() < 0.5
    ground, panel, ink = (
        (_level(draw, 10, 60), _level(draw, 30, 100), _level(draw, 170))
        if dark
        else (_level(draw, 190), _level(draw, 160), _level(draw, 0, 80))
    )
    picture = np.full((rows, columns), ground, np.uint8)
    for _ in range(int(draw.integers(2, 9))):
        left, top = int(draw.integers(-40, columns)), int(draw.integers(-40, rows))
        right, below = left + int(draw.integers(40, columns)), top + int(draw.integers(30, rows))
        level = int(np.clip(panel + draw.normal(0, 30), 0, 255))
        cv2.rectangle(picture, (left, top), (right, below), level, -1)
        cv2.rectangle(picture, (left, top), (right, below), ink, 1)
        if draw.random() < 0.6:
            cv2.rectangle(picture, (left, top), (right, top + 14), _level(draw), -1)
        if draw.random() < 0.8:
            inner = (max(left, 0) + 6, max(top, 0) + 14, min(right, columns) - 6, min(below, rows) - 4)
            if inner[2] > inner[0] + 20:
                _write(picture, draw, inner, ink, draw.uniform(0.25, 0.6))
    for _ in range(int(draw.integers(0, 30))):
        at = (int(draw.integers(columns)), int(draw.integers(rows)))
        size = int(draw.integers(4, 20))
        cv2.rectangle(picture, at, (at[0] + 2 * size, at[1] + size), _level(draw), -1)
    if draw.random() < 0.7:
        cv2.rectangle(picture, (0, 0), (columns, int(draw.integers(10, 30))), _level(draw), -1)
    return picture


def scene(draw: Draw) -> Picture:
    """Shaded things of all sizes that hide one another, which has the statistics of photographs: the dead
    leaves of Lee, Mumford and Huang, "Occlusion Models for Natural Images" (IJCV 2001).
    """
    picture = np.full((_LARGE, _LARGE), _level(draw), np.float32)
    reach = np.linspace(-1, 1, _LARGE, dtype=np.float32)
    least = float(draw.uniform(4, 25))
    grains = [
        cv2.GaussianBlur(draw.normal(0, 1, picture.shape).astype(np.float32), (0, 0), width)
        for width in (0.4, 1.0, 3.0)
    ]
    for _ in range(int(draw.integers(15, 160))):
        size = min(least / np.sqrt(1 - draw.random()), 220)
        at = draw.integers(-20, _LARGE + 20, 2)
        shape = np.zeros((_LARGE, _LARGE), np.uint8)
        if draw.random() < 0.5:
            axes = (max(1, round(size)), max(1, round(size * draw.uniform(0.2, 1))))
            cv2.ellipse(shape, (int(at[0]), int(at[1])), axes, draw.uniform(0, 180), 0, 360, 1, -1)
        else:
            corners = at + draw.normal(0, size, (int(draw.integers(3, 7)), 2))
            cv2.fillPoly(shape, [cv2.convexHull(corners.astype(np.int32))], 1)
        slopes = draw.uniform(-60, 60, 2).astype(np.float32)
        light = slopes[0] * reach[None, :] + slopes[1] * reach[:, None]
        lit = draw.uniform(0, 255) + light + draw.uniform(0, 30) * grains[int(draw.integers(3))]
        np.copyto(picture, lit, where=shape > 0)
    return _seen(picture, draw)


def texture(draw: Draw) -> Picture:
    """Clouds, cloth, grass: noise whose power falls with frequency, sometimes stretched along a direction."""
    frequency = np.stack(np.meshgrid(np.fft.fftfreq(_LARGE), np.fft.fftfreq(_LARGE))) * _LARGE
    turn, stretch = draw.uniform(0, np.pi), np.exp(draw.uniform(-1.5, 1.5))
    along = (frequency[0] * np.cos(turn) + frequency[1] * np.sin(turn)) * stretch
    beside = -frequency[0] * np.sin(turn) + frequency[1] * np.cos(turn)
    power = np.hypot(along, beside) + 1
    noise = np.fft.fft2(draw.normal(0, 1, (_LARGE, _LARGE)))
    picture = np.real(np.fft.ifft2(noise / power ** draw.uniform(0.3, 2.6)))
    if draw.random() < 0.3:
        picture = np.abs(picture - np.median(picture))
    low, high = np.percentile(picture, (1, 99))
    return _seen((picture - low) * 255 / (high - low), draw)


def pattern(draw: Draw) -> Picture:
    """Stripes, checks, rings, bar codes, wedges and grids, as of test cards and wallpapers."""
    across, down = np.meshgrid(np.arange(_LARGE), np.arange(_LARGE))
    turn, step = draw.uniform(0, np.pi), draw.uniform(6, 90)
    along = across * np.cos(turn) + down * np.sin(turn)
    beside = -across * np.sin(turn) + down * np.cos(turn)
    kind = int(draw.integers(6))
    if kind == 0:
        picture = np.sin(2 * np.pi * along / step)
    elif kind == 1:
        picture = np.sign(np.sin(2 * np.pi * along / step) * np.sin(2 * np.pi * beside / step))
    elif kind == 2:
        centre = draw.uniform(0, _LARGE, 2)
        picture = np.sin(2 * np.pi * np.hypot(across - centre[0], down - centre[1]) / step)
    elif kind == 3:
        bars = draw.random(int(draw.integers(20, 120)))
        picture = np.where(bars[(across * len(bars) // _LARGE)] < 0.5, -1.0, 1.0)
    elif kind == 4:
        cells = draw.random((int(draw.integers(2, 30)), int(draw.integers(2, 30))))
        cells = np.sign(cells - 0.5) if draw.random() < 0.5 else cells * 2 - 1
        picture = cells[down * cells.shape[0] // _LARGE, across * cells.shape[1] // _LARGE]
    else:
        grid = (across % round(step + 2) < 2) | (down % round(step + 2) < 2)
        trace = _LARGE / 2 + np.cumsum(draw.normal(0, 5, _LARGE))
        picture = np.where(grid, 0.4, 0.8) - 1.6 * (np.abs(down - trace[None, :]) < 2.5)
    return _seen((np.asarray(picture, np.float32) + 1) * 127, draw)


def noise(draw: Draw) -> Picture:
    """White, blurred, blocky or sparse noise, sometimes on a slope."""
    cells = int(draw.choice([5, 8, 12, 20, 40, 80, 160, 320]))
    grain = draw.random((cells, cells), dtype=np.float32) ** float(np.exp(draw.uniform(-1, 1.5)))
    way = cv2.INTER_CUBIC if draw.random() < 0.7 else cv2.INTER_NEAREST
    picture = cv2.resize(grain, (_LARGE, _LARGE), interpolation=way) * 255
    slope = np.linspace(-1, 1, _LARGE, dtype=np.float32) * draw.uniform(0, 120)
    return _seen(picture + (slope[None, :] if draw.random() < 0.5 else slope[:, None]), draw)


def strokes(draw: Draw) -> Picture:
    """Handwriting, scribbles, sketches and wires: curves on a plain or sloping ground."""
    ground = np.linspace(draw.uniform(0, 255), draw.uniform(0, 255), _LARGE)[None, :]
    picture = np.ascontiguousarray(np.repeat(ground, _LARGE, 0).astype(np.uint8))
    for _ in range(int(draw.integers(2, 60))):
        path = np.cumsum(draw.normal(0, draw.uniform(2, 14), (int(draw.integers(4, 60)), 2)), axis=0)
        path += draw.uniform(0, _LARGE, 2)
        thickness = int(draw.integers(1, 9))
        cv2.polylines(picture, [path.astype(np.int32)], False, _level(draw), thickness, cv2.LINE_AA)
    return _seen(picture.astype(np.float32), draw)


def _seen(picture: NDArray[np.floating[Any]], draw: Draw) -> Picture:
    """As a camera would give it: a little soft, shaded and grainy."""
    soft: NDArray[np.float32] = picture.astype(np.float32)
    if draw.random() < 0.6:
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), draw.uniform(0.4, 3.0)), np.float32)
    if draw.random() < 0.3:
        reach = np.linspace(-1, 1, soft.shape[0], dtype=np.float32)
        depth = np.float32(draw.uniform(0, 0.35))
        soft = soft * (1 - depth * (reach[:, None] ** 2 + reach[None, :] ** 2))
    soft = soft + draw.normal(0, draw.uniform(0, 8), soft.shape).astype(np.float32)
    return np.clip(soft, 0, 255).astype(np.uint8)


STRANGERS: dict[str, Callable[[Draw], Picture]] = {
    "page": page,
    "screen": screen,
    "scene": scene,
    "texture": texture,
    "pattern": pattern,
    "noise": noise,
    "strokes": strokes,
}
"""Every kind by its name: a picture of any size, uint8 (rows, columns)."""
