"""Draw chest phantoms: radiographs of nobody, for the first page, the test sender and the tests.

A phantom is a sum of path lengths through simple solids (soft tissue, lungs, heart, bones), with noise and
the word PHANTOM burned in. It shows what a chest radiograph is made of; nothing can be learned or judged
from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

PhantomStyle = Literal[
    "normal", "right-lower opacity", "left-upper opacity", "bilateral opacities", "rotated"
]
PHANTOM_STYLES: tuple[PhantomStyle, ...] = get_args(PhantomStyle)

Plane = NDArray[np.float32]

# Opacities as (x, y, radius, density): x to the patient's left (the image's right), y downwards, unit: half
# width.
_OPACITIES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "right-lower opacity": ((-0.45, 0.42, 0.20, 0.55), (-0.34, 0.30, 0.13, 0.35)),
    "left-upper opacity": ((0.42, -0.38, 0.17, 0.55),),
    "bilateral opacities": ((-0.40, 0.20, 0.26, 0.40), (0.44, 0.25, 0.24, 0.42), (-0.38, -0.25, 0.15, 0.25)),
}

# 5 x 7 letters, one string of rows each.
_LETTERS = {
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "M": "10001 11011 10101 10101 10001 10001 10001",
    "L": "10000 10000 10000 10000 10000 10000 11111",
}


@dataclass(frozen=True)
class Phantom:
    """`pixels` is uint16 (rows, columns), `bits` stored, bone bright (MONOCHROME2)."""

    pixels: NDArray[np.uint16]
    bits: int
    style: PhantomStyle


def draw_phantom(
    *, style: PhantomStyle = "normal", seed: int = 0, rows: int = 1280, columns: int = 1080, bits: int = 12
) -> Phantom:
    """Draw a frontal chest phantom; the same arguments give the same pixels. `seed` varies the body."""
    rng = np.random.default_rng(seed)
    # The body has no detail finer than this grid; noise and letters are drawn at full size.
    drawn_rows, drawn_columns = (rows, columns) if columns <= 700 else (rows * 540 // columns, 540)
    y, x = _grid(drawn_rows, drawn_columns, tilt=0.10 if style == "rotated" else float(rng.normal(0, 0.015)))
    width, heart_size = 1.0 + float(rng.normal(0, 0.04)), 0.27 + float(rng.normal(0, 0.02))

    attenuation = _soft_tissue(x, y, width)
    lungs = _lungs(x, y, width)
    attenuation -= 0.78 * lungs
    attenuation += 0.70 * _ellipsoid(x, y, 0.10, 0.30, heart_size, 0.30) * (1 - 0.25 * lungs)
    attenuation += 0.35 * _ellipsoid(x, y, 0.02, -0.32, 0.13, 0.36)
    attenuation += _bones(x, y, width)
    attenuation += _vessels(x, y, lungs, rng)
    for centre_x, centre_y, radius, density in _OPACITIES.get(style, ()):
        texture = 0.75 + 0.25 * _smooth_noise(rng, drawn_rows, drawn_columns, cells=24)
        distance = ((x - centre_x) ** 2 + (y - centre_y) ** 2) / radius**2
        attenuation += density * np.exp(-distance) * texture * np.minimum(1, 3 * lungs)

    full = 2**bits - 1
    exposed = 1 - np.exp(-1.15 * np.clip(attenuation, 0, None))
    exposed = cv2.resize(exposed.astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    grey = (full * (0.04 + 0.88 * exposed / max(float(exposed.max()), 1e-6))).astype(np.float32)
    grey += 0.006 * full * rng.standard_normal(grey.shape, dtype=np.float32)
    _burn_in(
        grey, "PHANTOM", row=rows // 40, column=columns // 30, scale=max(columns // 270, 1), value=0.97 * full
    )
    _burn_in(
        grey,
        "L",
        row=rows // 10,
        column=columns - columns // 8,
        scale=max(columns // 120, 1),
        value=0.97 * full,
    )
    return Phantom(np.clip(grey, 0, full).astype(np.uint16), bits, style)


def _grid(rows: int, columns: int, *, tilt: float) -> tuple[Plane, Plane]:
    """y and x in units of half the image's width, origin in the middle, turned by `tilt` radians."""
    half = columns / 2
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    y, x = (y - rows / 2) / half, (x - columns / 2) / half
    return y * np.cos(tilt) - x * np.sin(tilt), x * np.cos(tilt) + y * np.sin(tilt)


def _ellipsoid(x: Plane, y: Plane, centre_x: float, centre_y: float, a: float, b: float) -> Plane:
    """The relative path length through an ellipsoid, 1 in its middle."""
    inside = 1 - ((x - centre_x) / a) ** 2 - ((y - centre_y) / b) ** 2
    return np.asarray(np.sqrt(np.clip(inside, 0, None)), dtype=np.float32)


def _soft_tissue(x: Plane, y: Plane, width: float) -> Plane:
    trunk = np.sqrt(np.clip(1 - (x / (0.86 * width)) ** 4, 0, None)) * (0.80 + 0.18 * np.clip(y, -1, 1))
    shoulders = _ellipsoid(x, y, 0, -1.02, 1.25, 0.42) * 0.55
    neck = np.sqrt(np.clip(1 - (x / 0.24) ** 2, 0, None)) * (y < -0.7) * 0.35
    return np.asarray(np.maximum(trunk * (y > -0.93), shoulders) + neck, dtype=np.float32)


def _lungs(x: Plane, y: Plane, width: float) -> Plane:
    total = np.zeros_like(x)
    for side in (-1, 1):
        field = _ellipsoid(x, y, side * 0.42 * width, 0.0, 0.31 * width, 0.86)
        dome = 0.56 + 0.5 * (x - side * 0.40) ** 2 + (0.05 if side > 0 else 0.0)
        above_diaphragm = 1 / (1 + np.exp(np.clip((y - dome) / 0.012, -60, 60)))
        total += field * above_diaphragm
    return total.astype(np.float32)


def _tube(distance: Plane, radius: float) -> Plane:
    return np.asarray(np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, None)), dtype=np.float32)


def _bones(x: Plane, y: Plane, width: float) -> Plane:
    bones = np.zeros_like(x)
    vertebrae = 0.8 + 0.2 * np.cos(2 * np.pi * y / 0.155)
    bones += 0.34 * np.sqrt(np.clip(1 - (x / 0.105) ** 2, 0, None)) * vertebrae
    reach = np.abs(x) / (0.80 * width)
    arch = np.sqrt(np.clip(1 - reach**2, 0, None))
    within = (np.abs(x) > 0.07) & (reach < 1)
    for rib in range(10):
        start = -0.80 + 0.155 * rib
        posterior = y - (start - 0.10 * np.sin(np.pi * np.clip(reach, 0, 1)) + 0.32 * reach**2)
        bones += 0.15 * _tube(posterior.astype(np.float32), 0.034) * within
        anterior = y - (start + 0.34 + 0.30 * arch * (reach > 0.35))
        bones += 0.06 * _tube(anterior.astype(np.float32), 0.040) * (within & (reach > 0.35))
    clavicle = y - (-0.70 - 0.16 * (np.abs(x) - 0.1))
    bones += 0.26 * _tube(clavicle.astype(np.float32), 0.035) * ((np.abs(x) > 0.09) & (np.abs(x) < 0.74))
    return bones.astype(np.float32)


def _vessels(x: Plane, y: Plane, lungs: Plane, rng: np.random.Generator) -> Plane:
    """Branches that run from the hila outwards and fade."""
    vessels = np.zeros_like(x)
    for side in (-1, 1):
        for _ in range(9):
            angle = float(rng.uniform(-1.25, 1.25))
            dx, dy = side * (x - side * 0.15), y - 0.02
            along = dx * np.cos(angle) + dy * np.sin(angle)
            across = -dx * np.sin(angle) + dy * np.cos(angle) + 0.04 * np.sin(7 * along + angle)
            fade = np.exp(-np.clip(along, 0, None) / 0.22) * (along > 0)
            vessels += 0.13 * np.exp(-((across / 0.014) ** 2)) * fade
    return (vessels * np.minimum(1, 2 * lungs)).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int, *, cells: int) -> Plane:
    """Noise between 0 and 1 on a coarse grid, interpolated linearly."""
    coarse = rng.random((cells + 1, cells + 1), dtype=np.float32)
    row, column = np.linspace(0, cells, rows, endpoint=False), np.linspace(0, cells, columns, endpoint=False)
    r, c = row.astype(int), column.astype(int)
    fr, fc = (row - r)[:, None], (column - c)[None, :]
    top = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
    bottom = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
    return np.asarray(top * (1 - fr) + bottom * fr, dtype=np.float32)


def _burn_in(grey: Plane, text: str, *, row: int, column: int, scale: int, value: float) -> None:
    for letter in text:
        bitmap = np.array([[int(dot) for dot in line] for line in _LETTERS[letter].split()], dtype=bool)
        block = np.kron(bitmap, np.ones((scale, scale), dtype=bool))
        height, width = block.shape
        target = grey[row : row + height, column : column + width]
        target[block[: target.shape[0], : target.shape[1]]] = value
        column += width + scale
