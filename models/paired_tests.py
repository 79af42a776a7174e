"""The tests of DeLong and of McNemar: whether two bundles' answers to the same images differ by more than
chance.
"""

from __future__ import annotations

import math

import numpy as np

from models.figures import Array
from models.pair import Pair


def delong(pair: Pair) -> tuple[float, float, float]:
    """Difference of the two AUCs (candidate less active), its standard error and the two-sided p, as DeLong,
    DeLong and Clarke-Pearson (1988) have it. Images of one patient count as independent there; the intervals
    from resampling patients do not take them for that.
    """
    with_it, without = pair.truth, ~pair.truth
    placed_with, placed_without, areas = [], [], []
    for score in pair.probability:
        everyone = _mid_ranks(score)
        placed_with.append((everyone[with_it] - _mid_ranks(score[with_it])) / without.sum())
        placed_without.append(1 - (everyone[without] - _mid_ranks(score[without])) / with_it.sum())
        areas.append(float(placed_with[-1].mean()))
    variance = sum(
        float(np.var(placed[1] - placed[0], ddof=1)) / len(placed[0]) if len(placed[0]) > 1 else math.nan
        for placed in (placed_with, placed_without)
    )
    difference, error = areas[1] - areas[0], math.sqrt(variance)
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else 1.0
    return round(difference, 6), round(error, 6), round(p, 4)


def _mid_ranks(score: Array) -> Array:
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)


def mcnemar(lost: int, won: int) -> float:
    """The two-sided p of so many lost and won if both were as likely (McNemar 1947, exact)."""
    trials = lost + won
    ways = sum(math.comb(trials, count) for count in range(min(lost, won) + 1))
    return round(min(1.0, 2 * ways / (1 << trials)), 4)
