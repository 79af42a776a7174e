"""Other parts of the body, drawn from a seed as crudely as a gate needs them: limbs, hands, skulls, hips,
bellies, spines, teeth, and slices. Bone is bright.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Draw = np.random.Generator
Float = NDArray[np.float32]
_SIDE = 320


class _Plate:
    """Densities added up along the beam, float32 (320, 320), turned and moved as a whole when it is shown."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.density: Float = np.zeros((_SIDE, _SIDE), np.float32)

    def ellipse(
        self, centre: tuple[float, float], axes: tuple[float, float], density: float, *, turn: float = 0.0
    ) -> None:
        self._add(
            lambda plate: cv2.ellipse(plate, _whole(centre), _whole(axes), turn, 0, 360, 1.0, -1), density
        )

    def ring(
        self, centre: tuple[float, float], axes: tuple[float, float], density: float, *, width: float
    ) -> None:
        self._add(
            lambda plate: cv2.ellipse(
                plate, _whole(centre), _whole(axes), 0, 0, 360, 1.0, max(1, round(width))
            ),
            density,
        )

    def tube(self, path: list[tuple[float, float]], density: float, *, width: float) -> None:
        points = [np.array(path, np.float64).round().astype(np.int32)]
        self._add(lambda plate: cv2.polylines(plate, points, False, 1.0, max(1, round(width))), density)

    def bone(
        self, start: tuple[float, float], end: tuple[float, float], density: float, *, width: float
    ) -> None:
        """A shaft with a bright cortex, a darker marrow and wider ends."""
        self.tube([start, end], density, width=width)
        self.tube([start, end], -0.45 * density, width=width * 0.5)
        for at in (start, end):
            self.ellipse(at, (width * 0.8, width * 0.7), 0.6 * density)

    def _add(self, paint: Callable[[Float], object], density: float) -> None:
        plate = np.zeros((_SIDE, _SIDE), np.float32)
        paint(plate)
        width = float(self.draw.uniform(0.8, 2.5))
        # Beyond what was painted and the reach of the blur everything stays 0.
        reach = round(4 * width) + 2
        down, across = np.flatnonzero(plate.any(axis=1)), np.flatnonzero(plate.any(axis=0))
        if not len(down):
            return
        here = (
            slice(max(down[0] - reach, 0), down[-1] + reach + 1),
            slice(max(across[0] - reach, 0), across[-1] + reach + 1),
        )
        soft = cv2.GaussianBlur(np.ascontiguousarray(plate[here]), (0, 0), width)
        self.density[here] += np.asarray(density * soft, np.float32)

    def shown(self, *, turn: float) -> NDArray[np.uint8]:
        """Exposed, turned by up to so many degrees, framed anew, with grain and sometimes a marker."""
        draw = self.draw
        matrix = cv2.getRotationMatrix2D(
            (_SIDE / 2, _SIDE / 2), draw.uniform(-turn, turn), draw.uniform(0.8, 1.5)
        )
        matrix[:, 2] = matrix[:, 2] + draw.uniform(-30, 30, 2)
        seen = cv2.warpAffine(self.density, matrix, (_SIDE, _SIDE))
        seen = 255 * (1 - np.exp(-np.maximum(seen, 0) * draw.uniform(0.7, 1.6))) + draw.uniform(0, 30)
        grain = cv2.GaussianBlur(draw.normal(0, 1, seen.shape).astype(np.float32), (0, 0), 4) * draw.uniform(
            0, 40
        )
        seen = seen + grain + draw.normal(0, draw.uniform(0, 8), seen.shape)
        picture = np.clip(seen, 0, 255).astype(np.uint8)
        if draw.random() < 0.4:
            at = (int(draw.integers(5, _SIDE - 40)), int(draw.integers(25, _SIDE - 5)))
            cv2.putText(
                picture, str(draw.choice(["L", "R", "DX", "SIN"])), at, cv2.FONT_HERSHEY_DUPLEX, 0.9, 255, 2
            )
        rows, columns = (int(draw.integers(180, _SIDE)) for _ in range(2))
        top, left = (_SIDE - rows) // 2, (_SIDE - columns) // 2
        return picture[top : top + rows, left : left + columns]


def _whole(pair: tuple[float, float]) -> tuple[int, int]:
    return round(pair[0]), round(pair[1])


def limb(draw: Draw) -> NDArray[np.uint8]:
    """One or two long bones with a joint, as of a leg, a knee or a forearm."""
    plate = _Plate(draw)
    joint, width = draw.uniform(0, 320), draw.uniform(60, 150)
    bend = draw.uniform(-40, 40)
    plate.tube([(160, -40), (160, joint), (160 + bend, 360)], draw.uniform(0.2, 0.5), width=width)
    pair = draw.random() < 0.5
    for bone in range(1 + pair):
        x = 160 + (bone - pair / 2) * width * 0.45
        thick = width * draw.uniform(0.2, 0.35) / (1 + 0.4 * pair)
        plate.bone((x, -60), (x, joint - thick), draw.uniform(0.6, 1.2), width=thick)
        plate.bone(
            (x, joint + thick), (x + bend, 380), draw.uniform(0.6, 1.2), width=thick * draw.uniform(0.7, 1.1)
        )
    return plate.shown(turn=180)


def hand(draw: Draw) -> NDArray[np.uint8]:
    """Five rays of short bones on a palm, as of a hand or a foot."""
    plate = _Plate(draw)
    palm, reach = draw.uniform(30, 60), draw.uniform(20, 42)
    plate.ellipse((160, 230), (palm * 1.3, palm * 1.6), draw.uniform(0.2, 0.5))
    spread = draw.uniform(6, 22)
    for ray in range(5):
        angle = np.deg2rad((ray - 2) * spread)
        x, y = 160 + (ray - 2) * palm * 0.5, 240.0
        for joint in range(4):
            length = reach * (1.3 - 0.22 * joint)
            end = (x + np.sin(angle) * length, y - np.cos(angle) * length)
            plate.tube([(x, y), end], 0.3, width=palm * 0.5)
            plate.bone((x, y), end, draw.uniform(0.5, 0.9), width=palm * (0.24 - 0.03 * joint))
            x, y = x + np.sin(angle) * length * 1.25, y - np.cos(angle) * length * 1.25
    for _ in range(8):
        plate.ellipse(tuple(draw.normal((160, 265), (20, 8))), tuple(draw.uniform(6, 11, 2)), 0.6)
    return plate.shown(turn=180)


def skull(draw: Draw) -> NDArray[np.uint8]:
    """A head from the front or the side."""
    plate = _Plate(draw)
    wide, high = draw.uniform(75, 110), draw.uniform(95, 130)
    plate.ellipse((160, 140), (wide, high), draw.uniform(0.5, 0.9))
    plate.ring((160, 140), (wide, high), draw.uniform(0.5, 0.9), width=draw.uniform(6, 14))
    side = draw.random() < 0.5
    for eye in (-1, 1):
        at = (160 + eye * wide * 0.4 if not side else 160 - wide * 0.7, 165)
        plate.ellipse(at, (wide * 0.22, wide * 0.2), -0.5)
    plate.ellipse((160 - wide * 0.6 * side, 195), (wide * 0.2, wide * 0.25), -0.4)
    for tooth in range(-5, 6):
        at = (160 - wide * 0.6 * side + tooth * 8, 240)
        plate.ellipse(at, (3.5, draw.uniform(8, 14)), 0.8)
    plate.ellipse((160 - wide * 0.3 * side, 245), (wide * 0.6, 35), 0.5)
    plate.tube([(160 + 20 * side, 230), (160 + 30 * side, 360)], 0.6, width=45)
    return plate.shown(turn=40)


def hip(draw: Draw) -> NDArray[np.uint8]:
    """A pelvis or one hip with its thigh."""
    plate = _Plate(draw)
    plate.ellipse((160, 190), (draw.uniform(120, 170), 170), draw.uniform(0.4, 0.8))
    sides = (-1, 1) if draw.random() < 0.6 else (-1,)
    gap = 75 if len(sides) == 2 else 20
    for side in sides:
        x = 160 + side * gap
        plate.ellipse((x + side * 10, 90), (50, 65), 0.6, turn=side * 25)
        plate.ring((x, 165), (26, 26), 0.6, width=6)
        plate.ellipse((x + side * 3, 168), (22, 22), 0.7)
        plate.bone((x + side * 12, 178), (x + side * 45, 215), 0.6, width=22)
        plate.bone((x + side * 45, 210), (x + side * 35, 400), 0.8, width=26)
        plate.ring((x - side * 30, 215), (24, 32), 0.6, width=10)
    if len(sides) == 2:
        for level in range(5):
            plate.ellipse((160, -10 + level * 24), (18, 9), 0.7)
        plate.ellipse((160, 110), (28, 38), 0.6)
    return plate.shown(turn=25)


def belly(draw: Draw) -> NDArray[np.uint8]:
    """An abdomen: soft tissue, a spine, gas, the edge of the pelvis."""
    plate = _Plate(draw)
    plate.ellipse((160, 160), (draw.uniform(110, 170), draw.uniform(150, 200)), draw.uniform(0.7, 1.2))
    for level in range(11):
        plate.ellipse((160, 5 + level * 30), (20, 11), 0.5)
    for _ in range(int(draw.integers(3, 22))):
        plate.ellipse(
            tuple(draw.normal((160, 180), (55, 55))), tuple(draw.uniform(6, 26, 2)), -draw.uniform(0.2, 0.6)
        )
    for side in (-1, 1):
        plate.ellipse((160 + side * 85, 300), (55, 60), 0.5, turn=side * 30)
    return plate.shown(turn=15)


def spine(draw: Draw) -> NDArray[np.uint8]:
    """A column of vertebrae from the side or the front."""
    plate = _Plate(draw)
    plate.tube([(160, -20), (160, 340)], draw.uniform(0.3, 0.8), width=draw.uniform(120, 260))
    bend, size = draw.uniform(-45, 45), draw.uniform(18, 42)
    for level in range(-1, round(340 / (size * 1.2)) + 1):
        y = level * size * 1.2
        x = 160 + bend * np.sin(y / 320 * np.pi * draw.uniform(0.95, 1.05))
        plate.ellipse((x, y), (size * 0.7, size * 0.45), 0.8)
        plate.ring((x, y), (size * 0.7, size * 0.45), 0.4, width=3)
        plate.ellipse((x + size * 1.3, y + 5), (size * 0.5, size * 0.2), 0.5, turn=25)
    return plate.shown(turn=30)


def teeth(draw: Draw) -> NDArray[np.uint8]:
    """Two rows of teeth with roots, few and large or all around."""
    plate = _Plate(draw)
    count, level = int(draw.integers(3, 17)), draw.uniform(140, 180)
    width = 340 / count
    plate.ellipse((160, level), (230, draw.uniform(60, 140)), draw.uniform(0.4, 0.8))
    sag = draw.uniform(-30, 30)
    for row in (-1, 1):
        for tooth in range(count):
            x = -10 + (tooth + 0.5) * width
            y = level + row * min(width, 60) * 0.6 + sag * np.cos((x - 160) / 160 * np.pi / 2)
            plate.ellipse((x, y), (width * 0.4, min(width, 60) * 0.45), 1.0)
            for root in (-1, 1):
                tip = (x + root * width * 0.2, y + row * min(width, 60) * 1.4)
                plate.tube([(x + root * width * 0.2, y), tip], 0.6, width=width * 0.22)
    return plate.shown(turn=12)


def cross_section(draw: Draw) -> NDArray[np.uint8]:
    """An axial slice: an oval body on black, with a spine, a ring of ribs, and sometimes lungs."""
    plate = _Plate(draw)
    wide, high = draw.uniform(110, 150), draw.uniform(75, 125)
    plate.ellipse((160, 160), (wide, high), draw.uniform(0.4, 0.8))
    plate.ring((160, 160), (wide * 0.85, high * 0.85), 0.3, width=6)
    plate.ellipse((160, 160 + high * 0.6), (22, 18), 1.2)
    if draw.random() < 0.5:
        for side in (-1, 1):
            plate.ellipse((160 + side * wide * 0.45, 160), (wide * 0.32, high * 0.6), -draw.uniform(0.4, 0.8))
    for _ in range(int(draw.integers(2, 12))):
        at = draw.normal((160, 160), (wide * 0.4, high * 0.35))
        plate.ellipse((at[0], at[1]), tuple(draw.uniform(6, 35, 2)), draw.uniform(-0.4, 0.4))
    return plate.shown(turn=10)


def fan(draw: Draw) -> NDArray[np.uint8]:
    """A sector of speckle, as of ultrasound."""
    across, down = np.meshgrid(np.linspace(-1, 1, _SIDE), np.linspace(0, 1.2, _SIDE))
    far, angle = np.hypot(across, down), np.arctan2(across, down)
    coarse = draw.random((20, 20)).astype(np.float32)
    fine = draw.random((160, 160)).astype(np.float32)
    speckle = cv2.resize(coarse, (_SIDE, _SIDE)) * cv2.resize(fine, (_SIDE, _SIDE)) * draw.uniform(200, 600)
    inside = (
        (np.abs(angle) < draw.uniform(0.4, 0.9))
        & (far > draw.uniform(0.05, 0.3))
        & (far < draw.uniform(0.9, 1.2))
    )
    return np.clip(np.where(inside, speckle, 0), 0, 255).astype(np.uint8)


OTHER_PARTS: dict[str, Callable[[Draw], NDArray[np.uint8]]] = {
    "limb": limb,
    "hand": hand,
    "skull": skull,
    "hip": hip,
    "belly": belly,
    "spine": spine,
    "teeth": teeth,
    "slice": cross_section,
    "fan": fan,
}
"""Every part by its name: a picture of any size, uint8 (rows, columns)."""
