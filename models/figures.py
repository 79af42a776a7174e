"""Figures of merit for probabilities, with intervals from resampling patients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auc(truth: NDArray[np.generic], score: NDArray[np.generic]) -> float:
    """Area under the ROC curve, ties counted half; NaN where a class is missing."""
    positive = np.asarray(truth) > 0.5
    with_it, without = int(positive.sum()), int((~positive).sum())
    if not with_it or not without:
        return math.nan
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - with_it * (with_it + 1) / 2) / (with_it * without))


def sensitivity(truth: NDArray[np.generic], called: NDArray[np.bool_]) -> float:
    """Share called among those with the finding."""
    positive = np.asarray(truth) > 0.5
    return float(called[positive].mean()) if positive.any() else math.nan


def specificity(truth: NDArray[np.generic], called: NDArray[np.bool_]) -> float:
    """Share not called among those without the finding."""
    negative = np.asarray(truth) < 0.5
    return float((~called[negative]).mean()) if negative.any() else math.nan


def specificity_at(
    truth: NDArray[np.generic], score: NDArray[np.generic], *, least_sensitivity: float
) -> float:
    """The best specificity of any cut that reaches the sensitivity."""
    positive = np.sort(np.asarray(score)[np.asarray(truth) > 0.5])
    allowed = math.floor(len(positive) * (1 - least_sensitivity) + 1e-9)
    return specificity(truth, np.asarray(score) >= positive[allowed]) if len(positive) else math.nan


def brier(truth: NDArray[np.generic], probability: NDArray[np.generic]) -> float:
    """Mean squared difference of probability and outcome."""
    return float(
        np.mean((np.asarray(probability, dtype=np.float64) - np.asarray(truth, dtype=np.float64)) ** 2)
    )


def log_odds(probability: NDArray[np.generic]) -> Array:
    """Natural log of the odds, finite for 0 and 1."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped / (1 - clipped)))


def bootstrap(
    patients: NDArray[np.str_],
    figure: Callable[[NDArray[np.intp]], float],
    *,
    rounds: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """95% interval of a figure of image indices, patients drawn with replacement; rounds without both classes
    are left out.
    """
    _, owner = np.unique(patients, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(owner.max() + 2))
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        chosen = draw.integers(0, owner.max() + 1, owner.max() + 1)
        value = figure(np.concatenate([order[starts[patient] : starts[patient + 1]] for patient in chosen]))
        if math.isfinite(value):
            values.append(value)
    if not values:
        return math.nan, math.nan
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
