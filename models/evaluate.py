"""Evaluation: what a bundle says of labelled radiographs, through the same `Bundle.screen` that serves, as
figures with intervals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.answers import (
    CHUNK,
    Answers,
    ask,
    broken_bounds,
    calibration_figures,
    lanes,
    short,
    with_intervals,
)
from models.bundle import Bundle
from models.dataset import Labelled
from models.examples import DatasetRefused
from models.figures import Array
from models.framing import FRAMES, worst_of_frames
from models.gate_report import gate_figures
from models.judge import Report
from models.plots import draw_evaluation
from models.stress import GRADES, MIXED, PLAIN, conditions, shifted
from models.stress_intervals import stress_intervals
from models.style import conflicting


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

    With ``stress`` also under every acquisition change in three grades, worst and mean with intervals; with
    ``gate`` also what the input gate makes of the images turned, inverted, cut, and of drawn strangers.
    ``surroundings`` are scores of `models.style` for these images: with them the report tells how the network
    does where the surroundings speak against the label. Raises `DatasetRefused` where the data lack the
    finding or its absence.
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
    under_stress: list[Answers] = []
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
            outcome["even_odds"] = calibration_figures(answers)
            outcome["unlike"] = round(answers.unlike / len(data), 4)
            outcome["curve"] = _curve(answers)
            if surroundings is not None:
                outcome["conflict"] = conflict_figures(answers, surroundings, len(data))
        else:
            if (change, grade) == (MIXED, max(GRADES)):
                outcome["curve_changed"] = _curve(answers)
            if change != MIXED:
                under_stress.append(answers)
            told = lanes(answers, bundle)
            rows.append(
                {
                    "change": change,
                    "grade": grade,
                    "withheld": answers.withheld,
                    "unlike": round(answers.unlike / len(data), 4),
                    "missed": told["missed"],
                    "falsely_ruled_in": told["falsely_ruled_in"],
                }
                | short(answers, point=point)
                | calibration_figures(answers)
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
            "intervals": stress_intervals(under_stress, point=point, rounds=rounds, seed=seed),
            "broken_bounds": broken_bounds(rows, bundle),
        }
    return outcome


def _curve(answers: Answers) -> dict[str, list[float]]:
    return {"truth": answers.truth.tolist(), "probability": answers.probability.round(5).tolist()}


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
            for first in range(0, len(images), CHUNK)
            for screening in bundle.screen(list(images[first : first + CHUNK]))
        ]
        done += len(images)
        report("Reframing", done, len(images) * len(FRAMES))
        return np.array(answers)

    worst = worst_of_frames(logits, data.images, truth)
    fit = bundle.manifest.calibration[finding]
    probability = np.asarray(1 / (1 + np.exp(-(fit.slope * worst + fit.intercept))))
    point = bundle.manifest.thresholds[finding].operating_point
    low, high = merit.bootstrap(data.patients, lambda at: merit.auc(truth[at], probability[at]))
    return short(Answers(truth, probability, data.patients, 0), point=point) | {
        "auc_low": round(low, 4),
        "auc_high": round(high, 4),
    }


def conflict_figures(answers: Answers, surroundings: Array, images: int) -> dict[str, float]:
    """How well the surroundings alone tell the classes apart, and how the network does where they mislead."""
    if answers.withheld or len(surroundings) != images:
        return {}
    hard = conflicting(answers.truth, surroundings)
    truth, probability = answers.truth[hard], answers.probability[hard]
    low, high = merit.bootstrap(answers.patients[hard], lambda at: merit.auc(truth[at], probability[at]))
    return {
        "surroundings_auc": round(merit.auc(answers.truth, surroundings), 4),
        "images": int(hard.sum()),
        "auc": round(merit.auc(truth, probability), 4),
        "auc_low": round(low, 4),
        "auc_high": round(high, 4),
    }


def write_report(outcome: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """``evaluation.json`` and ``evaluation.png`` in the folder; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    document, picture = folder / "evaluation.json", folder / "evaluation.png"
    written = {name: value for name, value in outcome.items() if not name.startswith("curve")}
    document.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    draw_evaluation(outcome, picture)
    return document, picture
