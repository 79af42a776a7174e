"""Evaluation: what a bundle says of labelled radiographs, through the same `Bundle.screen` that serves, as
figures with intervals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """Figures of the bundle's first finding on the data, with 95% intervals from resampling patients; under
    ``others`` those of every other finding by which it ranks patients, and under ``untold`` of which of these
    the data or what was read of them do not have both images with it and without it.

    With ``stress`` also under every acquisition change in three grades, worst and mean with intervals. Of
    the first finding alone: with ``stress`` the worst frame, with ``gate`` what the input gate makes of the
    images turned, inverted, cut, and of drawn strangers, and with ``surroundings``, which are scores of
    `models.style` for these images, how the network does where they speak against the label. Raises
    `DatasetRefused` where the data lack the first finding or its absence.
    """
    finding = bundle.manifest.findings[0].name
    if finding not in data.findings:
        raise DatasetRefused(
            f"The bundle speaks of {finding} and the data of {', '.join(data.findings)}; "
            f"name the folder of the finding {finding}."
        )
    truth = data.labels[:, data.findings.index(finding)]
    if not _has_both(truth):
        raise DatasetRefused(f"To evaluate {finding}, images with it and without it are needed.")
    ranked = [one.name for one in bundle.manifest.findings if one.name == finding or not one.research]
    truths = {one: data.labels[:, data.findings.index(one)] for one in ranked if one in data.findings}
    asked: dict[tuple[str, float], dict[str, Answers]] = {}
    chosen = list(conditions()) if stress else [(PLAIN, 0.0)]
    for number, (change, grade) in enumerate(chosen, start=1):
        images = (
            data.images if change == PLAIN else shifted(data.images, change=change, strength=grade, seed=seed)
        )
        asked[change, grade] = ask(bundle, images, truths, data.patients)
        report("Evaluating", number * len(data), len(chosen) * len(data))
    told = {
        one: _told(
            bundle, {of: found[one] for of, found in asked.items()}, finding=one, rounds=rounds, seed=seed
        )
        for one in truths
        if one == finding or all(_has_both(found[one].truth) for found in asked.values())
    }
    plain = asked[PLAIN, 0.0][finding]
    outcome: dict[str, Any] = {
        "bundle": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "sha256": bundle.manifest.sha256,
        },
        "runtime": bundle.runtime,
        "images": len(data),
        "patients": len(np.unique(data.patients)),
        "notices": list(data.notices),
        **told.pop(finding),
        "others": list(told.values()),
        "untold": [one for one in ranked if one != finding and one not in told],
        "unlike": round(plain.unlike / len(data), 4),
        "curve": _curve(plain),
    }
    if surroundings is not None:
        outcome["conflict"] = conflict_figures(plain, surroundings, len(data))
    if gate:
        outcome["gate"] = gate_figures(bundle, data.images, seed=seed, report=report)
    if stress:
        outcome["curve_changed"] = _curve(asked[MIXED, max(GRADES)][finding])
        outcome["worst_frame"] = worst_frame(bundle, data, truth, finding=finding, report=report)
    return outcome


def _has_both(truth: NDArray[np.float32]) -> bool:
    return bool((truth > 0.5).any() and (truth < 0.5).any())


def _told(
    bundle: Bundle,
    asked: Mapping[tuple[str, float], Answers],
    *,
    finding: str,
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """One finding's figures, from what was answered under each change and grade."""
    cuts = bundle.manifest.thresholds[finding]
    point = cuts.operating_point
    plain = asked[PLAIN, 0.0]
    told = {
        "finding": finding,
        "plain": with_intervals(plain, point=point, rounds=rounds, seed=seed),
        "lanes": lanes(plain, cuts),
        "even_odds": calibration_figures(plain),
    }
    rows: list[dict[str, Any]] = []
    under_stress: list[Answers] = []
    for (change, grade), answers in asked.items():
        if change == PLAIN:
            continue
        if change != MIXED:
            under_stress.append(answers)
        of_lanes = lanes(answers, cuts)
        rows.append(
            {
                "change": change,
                "grade": grade,
                "withheld": answers.withheld,
                "unlike": round(answers.unlike / (len(answers.truth) + answers.withheld), 4),
                "missed": of_lanes["missed"],
                "falsely_ruled_in": of_lanes["falsely_ruled_in"],
            }
            | short(answers, point=point)
            | calibration_figures(answers)
        )
    if not rows:
        return told
    graded = [row for row in rows if row["change"] != MIXED]
    return told | {
        "stress": {
            "conditions": rows,
            "mean_auc": round(float(np.mean([row["auc"] for row in graded])), 4),
            "mean_accuracy": round(float(np.mean([row["accuracy"] for row in graded])), 4),
            "worst": min(graded, key=lambda row: float(row["auc"])),
            "intervals": stress_intervals(under_stress, point=point, rounds=rounds, seed=seed),
            "broken_bounds": broken_bounds(rows, cuts),
        }
    }


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
