"""How sure the figures under stress are: patients are drawn anew, the same ones for every change at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.answers import Answers
from models.figures import Array


def stress_intervals(
    answers: Sequence[Answers], *, point: float, rounds: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95% intervals of the mean AUC and accuracy over the changes, and of the AUC of the worst one, which is
    chosen anew in every round. Rounds in which a change lacks a class are left out.
    """
    everybody = np.unique(np.concatenate([each.patients for each in answers]))
    changes = [_Change(each, everybody, point=point) for each in answers]
    draw = np.random.default_rng(seed)
    told = []
    for _ in range(rounds):
        chosen = draw.integers(0, len(everybody), len(everybody))
        times = np.bincount(chosen, minlength=len(everybody)).astype(np.float64)
        areas = np.array([change.auc(times) for change in changes])
        if np.isfinite(areas).all():
            right = np.mean([change.accuracy(times) for change in changes])
            told.append((areas.mean(), float(right), areas.min()))
    if not told:
        return {}
    low, high = np.percentile(np.array(told), (2.5, 97.5), axis=0)
    names = ("mean_auc", "mean_accuracy", "worst_auc")
    return {
        name: (round(float(least), 4), round(float(most), 4))
        for name, least, most in zip(names, low, high, strict=True)
    }


class _Change:
    """The answers under one change, sorted once."""

    def __init__(self, answers: Answers, everybody: NDArray[np.str_], *, point: float) -> None:
        order = np.argsort(answers.probability, kind="stable")
        score = answers.probability[order]
        self._owner = np.searchsorted(everybody, answers.patients[order])
        self._with = answers.truth[order] > 0.5
        self._right = (score >= point) == self._with
        self._ties = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])

    def auc(self, times: Array) -> float:
        """Each image counted as often as its patient was drawn; NaN where a class is missing."""
        weight = times[self._owner]
        positive = np.add.reduceat(weight * self._with, self._ties)
        negative = np.add.reduceat(weight * ~self._with, self._ties)
        below = np.cumsum(negative) - negative
        pairs = positive.sum() * negative.sum()
        return float((positive * (below + negative / 2)).sum() / pairs) if pairs else float("nan")

    def accuracy(self, times: Array) -> float:
        """The share that was called right, counted so."""
        weight = times[self._owner]
        return float((weight * self._right).sum() / weight.sum())
