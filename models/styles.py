"""Acquisition styles: which pictures were taken alike, by what lies outside the chest and by their tone.

A room leaves its mark beside the lungs: markers, clothes, collimation, air, grey. Pictures are grouped by
that alone, without their labels; then it is counted how far each group goes with one class. A group that
nearly always does is a short cut for whoever learns from these pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.features import FrozenFeatures
from models.figures import Array
from models.style import surroundings

STYLES = 8
"""Groups looked for: fewer mix rooms, more split them until a rare combination has no patients left."""
_DIRECTIONS = 16
"""Principal components of the surroundings' features that count; the rest is the single child."""
_TONE = (1, 5, 25, 50, 75, 95, 99)
"""Percentiles of the grey levels, as sent."""
_TRIES = 10


@dataclass(frozen=True)
class Styles:
    """The style of every image and how each goes with the class."""

    style: NDArray[np.int_]
    """(n,), 0 to STYLES - 1, the purest in disease first."""
    share_with: Array
    """Share of each style's images that have the finding, (STYLES,)."""
    images: NDArray[np.int_]
    """How many images each style has, (STYLES,)."""

    def against(self, truth: NDArray[np.generic]) -> NDArray[np.bool_]:
        """The images in the rarer class of their style, (n,), as shares of each class count: with three sick
        children to each healthy one, half and half is a style of the healthy. A style that goes with neither
        counts as one of the sick.
        """
        positive = np.asarray(truth) > 0.5
        odds_with = self.share_with[self.style] / positive.mean()
        odds_without = (1 - self.share_with[self.style]) / (1 - positive.mean())
        return np.asarray(np.where(positive, odds_with < odds_without, odds_without <= odds_with))

    def purity(self, truth: NDArray[np.generic]) -> float:
        """Balanced accuracy of a reader who sees nothing but the style, .5 to 1."""
        positive = np.asarray(truth) > 0.5
        alike = ~self.against(truth)
        return float((alike[positive].mean() + alike[~positive].mean()) / 2)


def find_styles(
    images: NDArray[np.uint8],
    truth: NDArray[np.generic],
    *,
    seed: int,
    threads: int,
    on_images: Callable[[int], None] = lambda _: None,
) -> Styles:
    """The styles among squashed images (n, side, side); ``truth`` only names and orders them."""
    frozen = FrozenFeatures(side=images.shape[1], threads=threads)
    beside = frozen.of(lambda first, last: surroundings(images[first:last]), len(images), on_images=on_images)
    tone = np.percentile(images.reshape(len(images), -1), _TONE, axis=1).T
    described = np.column_stack([_directions(beside), _scaled(tone) * np.sqrt(_DIRECTIONS / len(_TONE))])
    group = _grouped(described.astype(np.float32), seed=seed)
    positive = np.asarray(truth) > 0.5
    shares = np.array([positive[group == number].mean() for number in range(STYLES)])
    order = np.argsort(-shares, kind="stable")
    style = np.argsort(order, kind="stable")[group]
    return Styles(style, shares[order], np.bincount(style, minlength=STYLES))


def _directions(features: NDArray[np.float32]) -> Array:
    """The features along the directions in which they differ most, each of spread 1."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    return _scaled(centred @ vectors[:, ::-1][:, :_DIRECTIONS])


def _scaled(values: NDArray[np.generic]) -> Array:
    values = values.astype(np.float64)
    return np.asarray((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9))


def _grouped(described: NDArray[np.float32], *, seed: int) -> NDArray[np.int_]:
    """k-means, the best of several tries."""
    cv2.setRNGSeed(seed)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-4)
    start = np.zeros((len(described), 1), np.int32)
    _, labels, _ = cv2.kmeans(described, STYLES, start, criteria, _TRIES, cv2.KMEANS_PP_CENTERS)
    return np.asarray(labels[:, 0], dtype=np.int_)
