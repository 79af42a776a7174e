"""What differs between X-ray rooms and not between patients: exposure, sharpness, framing, borders, markers,
compression.

Each change takes a float32 picture (side, side) of grey levels 0 to 255, a strength from 0 to 1 and a random
generator, and gives a picture of the same kind. Training draws from them (`models.augment`), the stress
validation grades them (`models.stress`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.preprocess import Float

Change = Callable[[Float, float, np.random.Generator], Float]


def _clip(picture: NDArray[np.floating[Any]]) -> Float:
    return np.asarray(np.clip(picture, 0, 255), dtype=np.float32)


def _sign(draw: np.random.Generator) -> float:
    return 1.0 if draw.random() < 0.5 else -1.0


def exposure(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Gamma between 1/2.7 and 2.7 at full strength: the usual difference between detectors and display
    curves.
    """
    # Resampling can leave a grey level a rounding error below zero, and that has no power.
    share = np.maximum(picture, 0) / 255
    return np.asarray(255 * share ** np.exp(_sign(draw) * strength), dtype=np.float32)


def contrast(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Window made narrower (clipping both ends) or wider, and moved."""
    factor = np.exp(_sign(draw) * 0.7 * strength)
    return _clip((picture - 128) * factor + 128 + draw.uniform(-40, 40) * strength)


def histogram(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Grey levels pulled towards an equalised histogram, or local contrast enhanced, as detectors' processing
    does.
    """
    eight = picture.astype(np.uint8)
    if draw.random() < 0.5:
        changed = cv2.equalizeHist(eight)
    else:
        changed = cv2.createCLAHE(clipLimit=1 + 3 * strength, tileGridSize=(4, 4)).apply(eight)
    return np.asarray(picture + strength * (changed - picture), dtype=np.float32)


def curve(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """A random smooth monotone curve of grey levels."""
    knots = np.linspace(0, 255, 6)
    steps = np.exp(draw.normal(0, strength, 5))
    levels = np.concatenate([[0], np.cumsum(steps) / steps.sum()]) * 255
    return np.asarray(np.interp(picture, knots, levels), dtype=np.float32)


def blur(picture: Float, strength: float, _draw: np.random.Generator) -> Float:
    """Unsharpness, up to a standard deviation of 1.8 points at 224."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.2 + 1.6 * strength), dtype=np.float32)


def sharpen(picture: Float, strength: float, _draw: np.random.Generator) -> Float:
    """Edge enhancement."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.5)
    return _clip(picture + 2 * strength * (picture - soft))


def noise(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Quantum noise: stronger, up to 18 grey levels, where the picture is bright."""
    spread = 18 * strength * np.sqrt(0.2 + picture / 255)
    return _clip(picture + spread.astype(np.float32) * draw.standard_normal(picture.shape, dtype=np.float32))


def resolution(picture: Float, strength: float, _draw: np.random.Generator) -> Float:
    """Fewer points, down to 40%, then enlarged again."""
    side = picture.shape[0]
    fewer = max(8, round(side * (1 - 0.6 * strength)))
    small = cv2.resize(picture, (fewer, fewer), interpolation=cv2.INTER_AREA)
    return _clip(np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32))


def compression(picture: Float, strength: float, _draw: np.random.Generator) -> Float:
    """JPEG down to quality 10."""
    quality = round(90 - 80 * strength)
    _, code = cv2.imencode(".jpg", picture.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.float32)


def crop(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """A closer framing: at full strength 70% of each side, rows and columns drawn apart."""
    side = picture.shape[0]
    rows, columns = (max(8, round(side * (1 - 0.3 * strength * draw.uniform(0.7, 1.0)))) for _ in range(2))
    top, left = int(draw.integers(0, side - rows + 1)), int(draw.integers(0, side - columns + 1))
    part = picture[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def widen(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """A wider framing: the picture shrinks to as little as 70% of each side, on a plain ground."""
    side = picture.shape[0]
    rows, columns = (max(8, round(side * (1 - 0.3 * strength * draw.uniform(0.7, 1.0)))) for _ in range(2))
    ground = np.full_like(picture, draw.choice([0, 0, 20, 90]))
    top, left = int(draw.integers(0, side - rows + 1)), int(draw.integers(0, side - columns + 1))
    ground[top : top + rows, left : left + columns] = cv2.resize(
        picture, (columns, rows), interpolation=cv2.INTER_AREA
    )
    return ground


def rotation(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Turned by up to 20 degrees."""
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), _sign(draw) * 20 * strength, 1.0)
    return np.asarray(
        cv2.warpAffine(picture, turn, (side, side), borderValue=float(draw.choice([0, 0, 30]))), np.float32
    )


def borders(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Collimation: plain bands, up to 12% wide, on some of the four sides."""
    changed, side = picture.copy(), picture.shape[0]
    level = float(draw.choice([0, 10, 60, 255], p=[0.5, 0.2, 0.2, 0.1]))
    widths = np.round(draw.uniform(0.3, 1.0, 4) * 0.12 * strength * side).astype(int) * (draw.random(4) < 0.6)
    top, bottom, left, right = (int(width) for width in widths)
    changed[:top] = level
    changed[side - bottom :] = level
    changed[:, :left] = level
    changed[:, side - right :] = level
    return changed


def background(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """The air beside the child made lighter, and shaded: what is darkest near the edges turns grey."""
    side = picture.shape[0]
    across = np.abs(np.linspace(-1, 1, side, dtype=np.float32))
    edge = np.clip(np.maximum(across[:, None] * 0.9, across[None, :]) * 3 - 1.9, 0, 1)
    dark = np.clip(1 - np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.float32) / 80, 0, 1)
    return _clip(picture + edge * dark * np.float32(strength * draw.uniform(30, 90)))


def markers(picture: Float, strength: float, draw: np.random.Generator) -> Float:
    """Side markers and writing near the edges covered by grey from beside them, and another mark put
    somewhere else.
    """
    changed, side = picture.copy(), picture.shape[0]
    depth = round(side * (0.05 + 0.13 * strength))
    strips = (
        (slice(0, depth), slice(0, side)),
        (slice(side - depth // 2, side), slice(0, side)),
        (slice(0, side), slice(0, depth)),
        (slice(0, side), slice(side - depth, side)),
    )
    for strip in strips:
        soft = cv2.medianBlur(changed[strip].astype(np.uint8), 2 * max(1, side // 24) + 1)
        bright = changed[strip] > soft.astype(np.float32) + 25
        changed[strip] = np.where(
            cv2.dilate(bright.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0, soft, changed[strip]
        )
    if draw.random() < strength:
        where = (int(draw.integers(2, side - 12)), int(draw.integers(12, side - 2)))
        if not (0.2 * side < where[0] < 0.8 * side and 0.15 * side < where[1] < 0.9 * side):
            scale, text = draw.uniform(0.25, 0.6), str(draw.choice(["R", "L", "AP", "A-P", "P"]))
            lead = np.zeros((side, side), np.uint8)
            cv2.putText(lead, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
            changed = np.maximum(changed, lead * np.float32(draw.uniform(0.7, 1.0)))
    return changed


CHANGES: dict[str, Change] = {
    "exposure": exposure,
    "contrast": contrast,
    "histogram": histogram,
    "curve": curve,
    "blur": blur,
    "sharpen": sharpen,
    "noise": noise,
    "resolution": resolution,
    "compression": compression,
    "crop": crop,
    "widen": widen,
    "rotation": rotation,
    "borders": borders,
    "background": background,
    "markers": markers,
}
"""Every change by its name."""
