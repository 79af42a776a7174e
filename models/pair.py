"""What two bundles said of the same images, and the figures of either with intervals from resampling
patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.figures import Array

LANES = ("rule-out", "abstain", "rule-in")
NAMES = ("active", "candidate")


@dataclass(frozen=True)
class Pair:
    """What both bundles said of the images that both read: probabilities, calls at the frozen operating point
    and lanes, active first.
    """

    truth: NDArray[np.bool_]
    patients: NDArray[np.str_]
    probability: tuple[Array, Array]
    called: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    lane: tuple[NDArray[np.str_], NDArray[np.str_]]
    withheld: tuple[int, int]
    at: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    """Of each image its place among those that were asked of."""
    silent: tuple[NDArray[np.bool_], NDArray[np.bool_]] = field(
        default_factory=lambda: (np.empty(0, np.bool_), np.empty(0, np.bool_))
    )
    """For each image that was asked of whether each withheld it."""
    asked_truth: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    asked_patients: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    """Of all that was asked of, read or not."""

    @property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For each image whether each called it right."""
        return self.called[0] == self.truth, self.called[1] == self.truth

    def take(self, chosen: NDArray[np.bool_]) -> Pair:
        """The chosen images, in order."""
        return Pair(
            self.truth[chosen],
            self.patients[chosen],
            (self.probability[0][chosen], self.probability[1][chosen]),
            (self.called[0][chosen], self.called[1][chosen]),
            (self.lane[0][chosen], self.lane[1][chosen]),
            self.withheld,
            self.at[chosen],
            self.silent,
            self.asked_truth,
            self.asked_patients,
        )


Figure = Callable[[Pair, int, NDArray[np.intp]], float]
FIGURES: dict[str, Figure] = {
    "auc": lambda pair, which, at: merit.auc(pair.truth[at], pair.probability[which][at]),
    "accuracy": lambda pair, which, at: float(pair.right[which][at].mean()),
    "sensitivity": lambda pair, which, at: merit.sensitivity(pair.truth[at], pair.called[which][at]),
    "specificity": lambda pair, which, at: merit.specificity(pair.truth[at], pair.called[which][at]),
}


def with_interval(
    patients: NDArray[np.str_],
    figures: Callable[[NDArray[np.intp]], list[float]],
    *,
    rounds: int,
    seed: int,
) -> list[dict[str, float | None]]:
    """Several figures of image indices at once, each with its value and 95% interval, patients drawn with
    replacement; None where there is no such figure.
    """
    _, owner = np.unique(patients, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    own = np.split(order, np.searchsorted(owner[order], np.arange(1, owner.max() + 1)))
    draw = np.random.default_rng(seed)
    drawn = np.array(
        [
            figures(np.concatenate([own[patient] for patient in draw.integers(0, len(own), len(own))]))
            for _ in range(rounds)
        ]
    )
    found: list[dict[str, float | None]] = []
    for value, column in zip(figures(np.arange(len(patients))), drawn.T, strict=True):
        known = column[np.isfinite(column)]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (math.nan, math.nan)
        found.append({"value": _told(value), "low": _told(low), "high": _told(high)})
    return found


def difference(pair: Pair, name: str, *, rounds: int, seed: int) -> dict[str, Any]:
    """Candidate less active in one of `FIGURES`."""
    figure = FIGURES[name]

    def gain(at: NDArray[np.intp]) -> list[float]:
        return [figure(pair, 1, at) - figure(pair, 0, at)]

    return with_interval(pair.patients, gain, rounds=rounds, seed=seed)[0]


def _told(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
