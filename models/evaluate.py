"""Evaluation: what a bundle says of labelled radiographs, through the same `Bundle.screen` that serves, as
figures with intervals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.bundle import Bundle
from models.calibrate import fit_platt
from models.dataset import Labelled
from models.examples import DatasetRefused
from models.figures import Array
from models.framing import FRAMES, worst_of_frames
from models.gate_report import gate_figures
from models.judge import Report
from models.plots import draw_evaluation
from models.stress import MIXED, PLAIN, conditions, shifted
from models.style import conflicting

_CHUNK = 64


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


def evaluate(
    bundle: Bundle,
    data: Labelled,
    *,
    stress: bool = False,
    gate: bool = False,
    surroundings: Array | None = None,
    seed: int = 7,
    rounds: int = 500,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """Figures of the bundle's first finding on the data, with 95% intervals from resampling patients.

    With ``stress`` also under every acquisition change in three grades, worst and mean; with ``gate`` also
    what the input gate makes of the images turned, inverted, cut, and of drawn strangers. ``surroundings``
    are scores of `models.style` for these images: with them the report tells how the network does where the
    surroundings speak against the label. Raises `DatasetRefused` where the data lack the finding or its
    absence.
    """
    finding = bundle.manifest.findings[0].name
    if finding not in data.findings:
        raise DatasetRefused(
            f"The bundle speaks of {finding} and the data of {', '.join(data.findings)}; "
            f"name the folder of the finding {finding}."
        )
    truth = data.labels[:, data.findings.index(finding)]
    if not ((truth > 0.5).any() and (truth < 0.5).any()):
        raise DatasetRefused(f"To evaluate {finding}, images with it and without it are needed.")
    chosen = list(conditions()) if stress else [(PLAIN, 0.0)]
    done, total = 0, len(chosen) * len(data)
    outcome: dict[str, Any] = {
        "bundle": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "sha256": bundle.manifest.sha256,
        },
        "runtime": bundle.runtime,
        "finding": finding,
        "images": len(data),
        "patients": len(np.unique(data.patients)),
        "notices": list(data.notices),
    }
    rows: list[dict[str, Any]] = []
    for change, grade in chosen:
        images = (
            data.images if change == PLAIN else shifted(data.images, change=change, strength=grade, seed=seed)
        )
        answers = ask(bundle, images, truth, data.patients, finding=finding)
        done += len(data)
        report("Evaluating", done, total)
        point = bundle.manifest.thresholds[finding].operating_point
        if change == PLAIN:
            outcome["plain"] = with_intervals(answers, point=point, rounds=rounds, seed=seed)
            outcome["lanes"] = lanes(answers, bundle)
            outcome["unlike"] = round(answers.unlike / len(data), 4)
            outcome["curve"] = {
                "truth": answers.truth.tolist(),
                "probability": answers.probability.round(5).tolist(),
            }
            if surroundings is not None:
                outcome["conflict"] = conflict_figures(answers, surroundings, len(data))
        else:
            rows.append(
                {
                    "change": change,
                    "grade": grade,
                    "withheld": answers.withheld,
                    "unlike": round(answers.unlike / len(data), 4),
                }
                | short(answers, point=point)
            )
    if gate:
        outcome["gate"] = gate_figures(bundle, data.images, seed=seed, report=report)
    if stress:
        outcome["worst_frame"] = worst_frame(bundle, data, truth, finding=finding, report=report)
        graded = [row for row in rows if row["change"] != MIXED]
        worst = min(graded, key=lambda row: float(row["auc"]))
        outcome["stress"] = {
            "conditions": rows,
            "mean_auc": round(float(np.mean([row["auc"] for row in graded])), 4),
            "mean_accuracy": round(float(np.mean([row["accuracy"] for row in graded])), 4),
            "worst": worst,
        }
    return outcome


def ask(
    bundle: Bundle,
    images: NDArray[np.uint8] | Sequence[NDArray[Any]],
    truth: NDArray[np.float32],
    patients: NDArray[np.str_],
    *,
    finding: str,
) -> Answers:
    """The bundle's probabilities of the finding for images that pass its gate."""
    screenings = [
        screening
        for first in range(0, len(images), _CHUNK)
        for screening in bundle.screen(list(images[first : first + _CHUNK]))
    ]
    passed = np.array([screening.outcome == "screened" for screening in screenings], dtype=np.bool_)
    probability = np.array(
        [
            screening.findings[finding].probability
            for screening in screenings
            if screening.outcome == "screened"
        ]
    )
    unlike = sum(screening.unlike is not None for screening in screenings)
    return Answers(truth[passed], probability, patients[passed], int((~passed).sum()), unlike)


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


def lanes(answers: Answers, bundle: Bundle) -> dict[str, float | int | None]:
    """How the lanes turned out: shares of those with and without the finding in each, and per-patient errors
    of the two bounds.
    """
    cuts = bundle.manifest.thresholds[bundle.manifest.findings[0].name]
    with_it = answers.truth > 0.5
    ruled_in = answers.probability >= (cuts.rule_in if cuts.rule_in is not None else np.inf)
    ruled_out = answers.probability < (cuts.rule_out if cuts.rule_out is not None else -np.inf)
    return {
        "rule_in_cut": cuts.rule_in,
        "rule_out_cut": cuts.rule_out,
        "with_finding_ruled_in": round(float(ruled_in[with_it].mean()), 4),
        "without_finding_ruled_out": round(float(ruled_out[~with_it].mean()), 4),
        "patients_with_finding": len(np.unique(answers.patients[with_it])),
        "patients_missed": len(np.unique(answers.patients[with_it & ruled_out])),
        "patients_without_finding": len(np.unique(answers.patients[~with_it])),
        "patients_falsely_ruled_in": len(np.unique(answers.patients[~with_it & ruled_in])),
    }


def worst_frame(
    bundle: Bundle, data: Labelled, truth: NDArray[np.float32], *, finding: str, report: Report
) -> dict[str, float]:
    """Figures with every image in the frame that serves it worst: a bound from below on what framing can
    do. What the pixel gate withholds counts as undecided, a logit of 0.
    """
    done = 0

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        nonlocal done
        answers = [
            screening.findings[finding].logit if screening.outcome == "screened" else 0.0
            for first in range(0, len(images), _CHUNK)
            for screening in bundle.screen(list(images[first : first + _CHUNK]))
        ]
        done += len(images)
        report("Reframing", done, len(images) * len(FRAMES))
        return np.array(answers)

    worst = worst_of_frames(logits, data.images, truth)
    fit = bundle.manifest.calibration[finding]
    probability = np.asarray(1 / (1 + np.exp(-(fit.slope * worst + fit.intercept))))
    point = bundle.manifest.thresholds[finding].operating_point
    return short(Answers(truth, probability, data.patients, 0), point=point)


def conflict_figures(answers: Answers, surroundings: Array, images: int) -> dict[str, float]:
    """How well the surroundings alone tell the classes apart, and how the network does where they mislead."""
    if answers.withheld or len(surroundings) != images:
        return {}
    hard = conflicting(answers.truth, surroundings)
    return {
        "surroundings_auc": round(merit.auc(answers.truth, surroundings), 4),
        "images": int(hard.sum()),
        "auc": round(merit.auc(answers.truth[hard], answers.probability[hard]), 4),
    }


def write_report(outcome: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """``evaluation.json`` and ``evaluation.png`` in the folder; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    document, picture = folder / "evaluation.json", folder / "evaluation.png"
    written = {name: value for name, value in outcome.items() if name != "curve"}
    document.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    draw_evaluation(outcome, picture)
    return document, picture
