"""What a bundle answered to labelled images, and the figures that follow from answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.bundle import Bundle
from models.calibrate import fit_platt, probabilities
from models.figures import Array
from models.judge import PREVALENCE
from models.manifest import Thresholds

CHUNK = 64


@dataclass(frozen=True)
class Answers:
    """Calibrated probabilities for images with known truth; withheld images are only counted."""

    truth: NDArray[np.float32]
    probability: Array
    patients: NDArray[np.str_]
    withheld: int
    unlike: int = 0
    """Images that the distance from the training images speaks against; they are answered here all the same.
    """


def ask(
    bundle: Bundle,
    images: NDArray[np.uint8] | Sequence[NDArray[Any]],
    truths: Mapping[str, NDArray[np.float32]],
    patients: NDArray[np.str_],
) -> dict[str, Answers]:
    """The bundle's probabilities of each finding for images that pass its gate."""
    screenings = [
        screening
        for first in range(0, len(images), CHUNK)
        for screening in bundle.screen(list(images[first : first + CHUNK]))
    ]
    passed = np.array([screening.outcome == "screened" for screening in screenings], dtype=np.bool_)
    read = [screening.findings for screening in screenings if screening.outcome == "screened"]
    withheld = int((~passed).sum())
    unlike = sum(screening.unlike is not None for screening in screenings)
    return {
        finding: Answers(
            truth[passed],
            np.array([results[finding].probability for results in read]),
            patients[passed],
            withheld,
            unlike,
        )
        for finding, truth in truths.items()
    }


def short(answers: Answers, *, point: float) -> dict[str, float]:
    """AUC, accuracy, sensitivity, specificity and Brier score at an operating point."""
    called = answers.probability >= point
    values = {
        "auc": merit.auc(answers.truth, answers.probability),
        "accuracy": float((called == (answers.truth > 0.5)).mean()),
        "sensitivity": merit.sensitivity(answers.truth, called),
        "specificity": merit.specificity(answers.truth, called),
        "brier": merit.brier(answers.truth, answers.probability),
    }
    return {name: round(value, 4) for name, value in values.items()}


def with_intervals(answers: Answers, *, point: float, rounds: int, seed: int) -> dict[str, Any]:
    """Every figure as value, low, high (95%, patients resampled)."""
    truth, probability = answers.truth, answers.probability

    def fit(index: NDArray[np.intp]) -> tuple[float, float]:
        if not 0 < truth[index].mean() < 1:
            return float("nan"), float("nan")
        line = fit_platt(merit.log_odds(probability[index]), truth[index])
        return line.slope, line.intercept

    figures: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "auc": lambda at: merit.auc(truth[at], probability[at]),
        "accuracy": lambda at: float(((probability[at] >= point) == (truth[at] > 0.5)).mean()),
        "sensitivity": lambda at: merit.sensitivity(truth[at], probability[at] >= point),
        "specificity": lambda at: merit.specificity(truth[at], probability[at] >= point),
        "specificity_at_sensitivity_995": lambda at: merit.specificity_at(
            truth[at], probability[at], least_sensitivity=0.995
        ),
        "brier": lambda at: merit.brier(truth[at], probability[at]),
        "calibration_slope": lambda at: fit(at)[0],
        "calibration_intercept": lambda at: fit(at)[1],
    }
    everyone = np.arange(len(truth))
    result: dict[str, Any] = {"withheld": answers.withheld, "operating_point": point}
    for name, figure in figures.items():
        repeats = min(rounds, 200) if name.startswith("calibration") else rounds
        low, high = merit.bootstrap(answers.patients, figure, rounds=repeats, seed=seed)
        result[name] = {"value": round(figure(everyone), 4), "low": round(low, 4), "high": round(high, 4)}
    return result


def lanes(answers: Answers, cuts: Thresholds) -> dict[str, float | int | None]:
    """How a finding's lanes turned out: shares of those with and without it in each, and per-patient errors
    of the two bounds.
    """
    with_it = answers.truth > 0.5
    ruled_in = answers.probability >= (cuts.rule_in if cuts.rule_in is not None else np.inf)
    ruled_out = answers.probability < (cuts.rule_out if cuts.rule_out is not None else -np.inf)
    ill, well = np.unique(answers.patients[with_it]), np.unique(answers.patients[~with_it])
    missed = np.unique(answers.patients[with_it & ruled_out])
    alarmed = np.unique(answers.patients[~with_it & ruled_in])
    return {
        "rule_in_cut": cuts.rule_in,
        "rule_out_cut": cuts.rule_out,
        "with_finding_ruled_in": round(float(ruled_in[with_it].mean()), 4),
        "without_finding_ruled_out": round(float(ruled_out[~with_it].mean()), 4),
        "patients_with_finding": len(ill),
        "patients_missed": len(missed),
        "missed": _share(len(missed), len(ill)),
        "patients_without_finding": len(well),
        "patients_falsely_ruled_in": len(alarmed),
        "falsely_ruled_in": _share(len(alarmed), len(well)),
    }


def _share(errors: int, patients: int) -> float:
    return round(errors / patients, 4) if patients else float("nan")


def calibration_figures(answers: Answers) -> dict[str, float]:
    """Slope and intercept that would set the probabilities right, both classes weighted alike, since
    probabilities are given for a finding as frequent as its absence: 1 and 0 where they are right. The error
    is how far the probabilities are from those on average, both classes weighted alike: unlike the line it
    says little of answers that are sure and right. All nan where the answers are of one class.
    """
    truth = answers.truth > 0.5
    if not 0 < truth.mean() < 1:
        return dict.fromkeys(("slope", "intercept", "error"), float("nan"))
    line = fit_platt(merit.log_odds(answers.probability), answers.truth, prevalence=PREVALENCE)
    off = np.abs(probabilities(merit.log_odds(answers.probability), line) - answers.probability)
    return {
        "slope": round(line.slope, 4),
        "intercept": round(line.intercept, 4),
        "error": round(float((off[truth].mean() + off[~truth].mean()) / 2), 4),
    }


def broken_bounds(rows: list[dict[str, Any]], cuts: Thresholds) -> dict[str, list[str]]:
    """Under which changes more patients than a lane promises were missed, or falsely ruled in: the promise is
    for patients and rooms like those calibrated on, and this is how far others may be from it.
    """
    bounds = {"missed": cuts.rule_out_miss_bound, "falsely_ruled_in": cuts.rule_in_false_positive_bound}
    return {
        kind: [f"{row['change']} {row['grade']}" for row in rows if row[kind] > most]
        for kind, most in bounds.items()
    }
