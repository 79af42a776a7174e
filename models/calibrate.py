"""Logits to honest probabilities, and cuts on them whose error is bounded on the patients held out of
training.

A bound is of the development data: it carries over to a site only as far as the site's radiographs are
exchangeable with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.figures import Array
from models.manifest import Calibration, Thresholds

CONFIDENCE = 0.95
RULE_OUT_MISS = 0.02
RULE_IN_FALSE_POSITIVES = 0.05


def fit_platt(logits: Array, truth: NDArray[np.generic], *, prevalence: float | None = None) -> Calibration:
    """The slope and intercept of least log loss, classes weighted to ``prevalence`` (that of the data if
    None).

    A weak pull towards slope 1 and intercept 0 keeps perfectly separated data from giving endless confidence.
    """
    outcome = (np.asarray(truth) > 0.5).astype(np.float64)
    share = float(outcome.mean())
    wanted = share if prevalence is None else prevalence
    if not 0 < share < 1:
        raise ValueError("calibration needs examples with and without the finding")
    weight = np.where(outcome > 0, wanted / share, (1 - wanted) / (1 - share))
    design = np.column_stack([np.asarray(logits, dtype=np.float64), np.ones(len(outcome))])
    beta, centre, pull = np.array([1.0, 0.0]), np.array([1.0, 0.0]), np.diag([1.0, 0.1])

    def loss(at: Array) -> float:
        scores = design @ at
        losses = np.logaddexp(0, scores) - outcome * scores
        return float((weight * losses).sum() + 0.5 * (at - centre) @ pull @ (at - centre))

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -40, 40)))
        gradient = design.T @ (weight * (p - outcome)) + pull @ (beta - centre)
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + pull
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while loss(beta - size * step) > loss(beta) and size > 1e-6:
            size /= 2
        beta = beta - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return Calibration(slope=float(beta[0]), intercept=float(beta[1]), prevalence=wanted)


def probabilities(logits: Array, calibration: Calibration) -> Array:
    """Calibrated probabilities of logits of any shape."""
    return np.asarray(1 / (1 + np.exp(-np.clip(calibration.slope * logits + calibration.intercept, -40, 40))))


def upper_bound(errors: int, trials: int, *, confidence: float = CONFIDENCE) -> float:
    """The exact one-sided upper bound on a share of which ``errors`` of ``trials`` were seen (Clopper and
    Pearson 1934).
    """
    if not 0 <= errors <= trials or trials == 0:
        raise ValueError(f"{errors} errors in {trials} trials")
    if errors == trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _binomial_cdf(errors, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def bound_holds(errors: int, trials: int, most: float, *, confidence: float = CONFIDENCE) -> bool:
    """Whether `upper_bound` is at most ``most``; False without trials."""
    return trials > 0 and errors < trials and _binomial_cdf(errors, trials, most) <= 1 - confidence


def _binomial_cdf(most: int, trials: int, share: float) -> float:
    if share <= 0:
        return 1.0
    if share >= 1:
        return float(most >= trials)
    total = 0.0
    term = trials * math.log1p(-share)
    for count in range(most + 1):
        total += math.exp(term)
        term += (
            math.log(trials - count) - math.log(count + 1) + math.log(share) - math.log1p(-share)
            if (count < trials)
            else 0.0
        )
    return total


GRID = np.concatenate(
    [[0.001, 0.002, 0.003, 0.005, 0.007], np.arange(1, 100) / 100, [0.993, 0.995, 0.997, 0.998, 0.999]]
)
"""Cuts that may be chosen; fixed beforehand, so that testing them in order keeps the level."""


def rule_out_cut(
    probability: Array, truth: NDArray[np.generic], patients: NDArray[np.str_], *, most: float = RULE_OUT_MISS
) -> float | None:
    """The highest cut below which at most ``most`` of the patients with the finding fall, at the confidence;
    None if none does.

    A patient counts as missed when any image with the finding falls below. Cuts are tested from the safest on
    and the first that fails ends it, so the level holds for the chosen one (fixed-sequence testing;
    Angelopoulos et al., "Learn then test", 2021).
    """
    lowest = _per_patient(probability, patients, np.asarray(truth) > 0.5, worst=np.minimum)
    chosen = None
    for cut in GRID:
        if not bound_holds(int((lowest < cut).sum()), len(lowest), most):
            break
        chosen = float(cut)
    return chosen


def rule_in_cut(
    probability: Array,
    truth: NDArray[np.generic],
    patients: NDArray[np.str_],
    *,
    most: float = RULE_IN_FALSE_POSITIVES,
) -> float | None:
    """The lowest cut that at most ``most`` of the patients without the finding reach, at the confidence; None
    if none does.
    """
    highest = _per_patient(probability, patients, np.asarray(truth) < 0.5, worst=np.maximum)
    chosen = None
    for cut in GRID[::-1]:
        if not bound_holds(int((highest >= cut).sum()), len(highest), most):
            break
        chosen = float(cut)
    return chosen


def _per_patient(
    probability: Array,
    patients: NDArray[np.str_],
    chosen: NDArray[np.bool_],
    *,
    worst: np.ufunc,
) -> Array:
    if not chosen.any():
        return np.empty(0)
    owners, owner = np.unique(patients[chosen], return_inverse=True)
    start = np.inf if worst is np.minimum else -np.inf
    values = np.full(len(owners), start)
    worst.at(values, owner, probability[chosen])
    return values


def operating_point(probability: Array, truth: NDArray[np.generic]) -> float:
    """The cut of the grid with the best mean of sensitivity and specificity; of equals, the one nearest one
    half.
    """
    positive = np.sort(probability[np.asarray(truth) > 0.5])
    negative = np.sort(probability[np.asarray(truth) < 0.5])
    cuts = GRID[(GRID >= 0.05) & (GRID <= 0.95)]
    caught = 1 - np.searchsorted(positive, cuts) / len(positive)
    spared = np.searchsorted(negative, cuts) / len(negative)
    balanced = caught + spared
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])


def thresholds(
    *,
    plain: Mapping[str, Array],
    stressed: Array,
    stressed_truth: NDArray[np.generic],
    truth: NDArray[np.generic],
    patients: NDArray[np.str_],
) -> Thresholds:
    """Cuts from calibrated probabilities of held-out images: the operating point under stress, the bounds on
    the plain images, of which ``plain`` has the probabilities in each precision: a cut holds in all of them.

    The bounds are claims about exchangeable patients, and shifted copies of one patient are not; the
    operating point claims nothing.
    """
    positive = np.asarray(truth) > 0.5
    point = operating_point(stressed, stressed_truth)
    # The most careful of the cuts was tested in every precision, on the way to that one's own.
    rule_in = _of_all([rule_in_cut(each, truth, patients) for each in plain.values()], max)
    rule_out = _of_all([rule_out_cut(each, truth, patients) for each in plain.values()], min)
    # The lanes may not cross the operating point: what is ruled in is called present, what is ruled out is
    # not.
    return Thresholds(
        operating_point=point,
        rule_in=None if rule_in is None else max(rule_in, point),
        rule_out=None if rule_out is None else min(rule_out, point),
        confidence=CONFIDENCE,
        rule_in_false_positive_bound=RULE_IN_FALSE_POSITIVES,
        rule_out_miss_bound=RULE_OUT_MISS,
        patients_with=len(np.unique(patients[positive])),
        patients_without=len(np.unique(patients[~positive])),
        precisions=tuple(plain),
    )


def _of_all(cuts: Sequence[float | None], most_careful: Callable[..., float]) -> float | None:
    known = [cut for cut in cuts if cut is not None]
    return most_careful(known) if len(known) == len(cuts) else None
