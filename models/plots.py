"""Pictures for people: curves of a training run, and the report of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_training(log: Path, picture: Path) -> None:
    """Loss and validation AUC by epoch from a run's ``log.jsonl``; nothing is written where the log has no
    epoch.
    """
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    if not epochs:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [event["epoch"] for event in epochs]
    left.plot(numbers, [event["loss"] for event in epochs], marker="o", color="#1f4e79")
    left.set(xlabel="epoch", ylabel="training loss", title="Loss on hard pictures")
    for name in epochs[0]["select_auc"]:
        right.plot(numbers, [event["select_auc"][name] for event in epochs], marker="o", label=name)
    right.set(xlabel="epoch", ylabel="AUC", title="Patients kept for choosing, averaged weights")
    right.legend()
    FigureCanvasAgg(figure).print_figure(str(picture))


def draw_evaluation(outcome: dict[str, Any], picture: Path) -> None:
    """ROC curve, reliability, and AUC under each change if the stress validation was run."""
    stress = outcome.get("stress")
    figure = Figure(figsize=(14 if stress else 9, 4.2), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, 3 if stress else 2)))
    truth = np.array(outcome["curve"]["truth"]) > 0.5
    probability = np.array(outcome["curve"]["probability"])
    _roc(axes[0], truth, probability, outcome["plain"]["auc"]["value"])
    reliability = {"as sent": outcome["curve"]}
    if "curve_changed" in outcome:
        reliability["two acquisition changes, grade 1"] = outcome["curve_changed"]
    _reliability(axes[1], reliability)
    if stress:
        _stress(axes[2], stress["conditions"])
    FigureCanvasAgg(figure).print_figure(str(picture))


def draw_comparison(outcome: dict[str, Any], picture: Path) -> None:
    """Differences of a candidate from the active bundle with their intervals, and AUC as pictures change."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(outcome["difference"])
    for at, name in enumerate(names):
        line = outcome["difference"][name]
        left.plot([line["low"], line["high"]], [at, at], color="#1f4e79")
        left.plot(line["value"], at, "o", color="#1f4e79")
    left.axvline(0, color="#999999", linewidth=1)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set(xlabel="candidate less active, 95% interval", title="What the candidate gains or loses")
    grades = ["as sent", *(f"grade {row['grade']}" for row in outcome["stress"])]
    for name, colour in (("active", "#c55a11"), ("candidate", "#1f4e79")):
        areas = [outcome[name]["auc"], *(row[name] for row in outcome["stress"])]
        right.plot(grades, areas, marker="o", color=colour, label=name)
    right.set(ylabel="AUC", title="Under two acquisition changes at once")
    right.legend()
    FigureCanvasAgg(figure).print_figure(str(picture))


def _roc(axis: Axes, truth: np.ndarray[Any, Any], probability: np.ndarray[Any, Any], auc: float) -> None:
    order = np.argsort(-probability)
    caught = np.concatenate([[0], np.cumsum(truth[order]) / truth.sum()])
    alarmed = np.concatenate([[0], np.cumsum(~truth[order]) / (~truth).sum()])
    axis.plot(alarmed, caught, color="#1f4e79")
    axis.set(
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title=f"ROC, AUC {auc:.3f}",
        xlim=(0, 1),
        ylim=(0, 1.01),
    )


def _reliability(axis: Axes, curves: dict[str, dict[str, list[float]]]) -> None:
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for (name, curve), colour in zip(curves.items(), ("#1f4e79", "#c55a11"), strict=False):
        truth, probability = np.array(curve["truth"]) > 0.5, np.array(curve["probability"])
        # Probabilities are given for a finding as frequent as its absence, so both classes weigh alike.
        weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (~truth).mean())
        bins = np.clip((probability * 10).astype(int), 0, 9)
        filled = [number for number in range(10) if (bins == number).sum() >= 5]
        axis.plot(
            [np.average(probability[bins == number], weights=weight[bins == number]) for number in filled],
            [np.average(truth[bins == number], weights=weight[bins == number]) for number in filled],
            marker="o",
            color=colour,
            label=name,
        )
    axis.set(
        xlabel="probability given",
        ylabel="share with the finding, at even odds",
        title="Reliability (bins of 5 images or more)",
    )
    axis.legend()


def _stress(axis: Axes, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["change"] for row in rows))
    for grade in sorted({row["grade"] for row in rows}):
        values = {row["change"]: row["auc"] for row in rows if row["grade"] == grade}
        axis.plot([values[name] for name in names], range(len(names)), "o", label=f"grade {grade}")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="AUC", title="Under acquisition changes")
    axis.legend()
