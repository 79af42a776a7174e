"""What a comparison shows beside its verdict: curves, classes, subgroups and the most confident mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.examples import manifest_rows
from models.figures import Array
from models.pair import FIGURES, LANES, NAMES, Pair, with_interval
from models.sentence import sentence

LEAST_PATIENTS = 50
"""Patients with the finding and without it, each; with fewer nothing is shown of a group, nothing passes."""
MOST_POINTS = 160
"""Of a curve; more would not be seen."""
MOST_MISTAKES = 6
"""Of either kind."""
BIN_OF = 5
"""Images that a bin of the reliability needs."""
SUBGROUP_FIGURES = ("auc", "sensitivity", "specificity")
AGES = (
    (1.0, sentence("under 1 year")),
    (5.0, sentence("1 to 4 years")),
    (12.0, sentence("5 to 11 years")),
    (18.0, sentence("12 to 17 years")),
    (math.inf, sentence("18 years and over")),
)

Facts = Mapping[str, NDArray[np.str_]]
"""By the name of a fact (age, sex, view, station, source) its value for each image; empty where unknown."""


def facts_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.str_]]:
    """The facts of the rows of a manifest, ages in bands."""
    facts = {
        name: [str(row.get(name) or "") for row in rows] for name in ("sex", "view", "station", "source")
    }
    ages = [_age_band(str(row.get("age_years", ""))) for row in rows]
    return {"age": np.array(ages)} | {name: np.array(values) for name, values in facts.items()}


def stated_of(data: Path, paths: Sequence[str]) -> list[dict[str, str]]:
    """What the manifest that is the data or in it states of each of the paths: the facts of
    `models.examples.ManifestRow` as they stand there, and its source; nothing without one.
    """
    manifest = data / "manifest.csv" if data.is_dir() else data
    if not manifest.is_file():
        return [{} for _ in paths]
    rows = manifest_rows(manifest, name=manifest.name)
    stated = {
        str(manifest.parent / row.path): {**row.facts, "source": row.source}
        for row in rows
        if not row.duplicate_of
    }
    return [stated.get(path, {}) for path in paths]


def _age_band(years: str) -> str:
    try:
        age = float(years)
    except ValueError:
        return ""
    return next((name for end, name in AGES if 0 <= age < end), "")


def detail(pair: Pair, *, facts: Facts, rounds: int, seed: int) -> dict[str, Any]:
    """JSON with the keys curves, classes, lanes_by_truth, subgroups, untold and mistakes.

    `untold` are facts that no image states, so that there are no subgroups of them.
    """
    return {
        "curves": {name: _curves(pair, which) for which, name in enumerate(NAMES)},
        "classes": {
            name: _classes(pair, which, rounds=rounds, seed=seed) for which, name in enumerate(NAMES)
        },
        "lanes_by_truth": {name: _lanes(pair, which) for which, name in enumerate(NAMES)},
        **groups(pair, facts=facts, rounds=rounds, seed=seed),
        "mistakes": _mistakes(pair),
    }


def groups(pair: Pair, *, facts: Facts, rounds: int, seed: int) -> dict[str, Any]:
    """The keys subgroups and untold of `detail`."""
    known = {name: values[pair.at] for name, values in facts.items()}
    return {
        "subgroups": [
            _subgroup(pair.take(known[name] == value), of=name, value=str(value), rounds=rounds, seed=seed)
            | _withheld(pair, values == value)
            for name, values in facts.items()
            for value in sorted(set(values), key=_in_order)
            if (values != "").any()
        ],
        "untold": [name for name, values in facts.items() if not (values != "").any()],
    }


def _in_order(value: str) -> tuple[int, str]:
    bands = [name for _, name in AGES]
    return (bands.index(value) if value in bands else len(bands) + (value == ""), value)


def _curves(pair: Pair, which: int) -> dict[str, Any]:
    """ROC as (false alarms, caught), precision-recall as (recall, precision), both from 0 on; where the
    operating point lies on them; and the reliability.
    """
    score, truth = pair.probability[which], pair.truth
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    caught, alarmed = np.cumsum(truth[order])[last], np.cumsum(~truth[order])[last]
    recall, alarms = caught / truth.sum(), alarmed / (~truth).sum()
    precision = caught / (caught + alarmed)
    called = pair.called[which]
    at = {
        "recall": _round(float(called[truth].mean())),
        "alarms": _round(float(called[~truth].mean())),
        "precision": _round(float(truth[called].mean())) if called.any() else None,
    }
    average = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))
    return {
        "roc": _thin(np.concatenate([[0.0], alarms]), np.concatenate([[0.0], recall])),
        "precision_recall": _thin(recall, precision),
        "average_precision": _round(average),
        "operating_point": at,
        "reliability": _reliability(score, truth),
    }


def _thin(x: Array, y: Array) -> list[list[float]]:
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().astype(int))
    return [[_round(float(x[at])), _round(float(y[at]))] for at in chosen]


def _reliability(score: Array, truth: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Bins of a tenth: the mean probability given and the share with the finding, both classes weighted alike
    since probabilities are given for a finding as frequent as its absence.
    """
    weight = np.where(truth, 0.5 / truth.mean(), 0.5 / (~truth).mean())
    bins = np.clip((score * 10).astype(int), 0, 9)
    return [
        {
            "given": _round(float(np.average(score[mine], weights=weight[mine]))),
            "share": _round(float(np.average(truth[mine], weights=weight[mine]))),
            "images": int(mine.sum()),
        }
        for number in range(10)
        if (mine := bins == number).sum() >= BIN_OF
    ]


def _classes(pair: Pair, which: int, *, rounds: int, seed: int) -> dict[str, Any]:
    """Recall and precision of each class, the accuracy, and the four counts they come from."""
    truth, called = pair.truth, pair.called[which]

    def figures(at: NDArray[np.intp]) -> list[float]:
        there, said = truth[at], called[at]
        return [
            _share(there & said, there),
            _share(there & said, said),
            _share(~there & ~said, ~there),
            _share(~there & ~said, ~said),
            float((there == said).mean()),
        ]

    found = with_interval(pair.patients, figures, rounds=rounds, seed=seed)
    return {
        "with": {"images": int(truth.sum()), "recall": found[0], "precision": found[1]},
        "without": {"images": int((~truth).sum()), "recall": found[2], "precision": found[3]},
        "accuracy": found[4],
        "confusion": {
            "caught": int((truth & called).sum()),
            "missed": int((truth & ~called).sum()),
            "alarmed": int((~truth & called).sum()),
            "spared": int((~truth & ~called).sum()),
        },
    }


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else math.nan


def _lanes(pair: Pair, which: int) -> dict[str, dict[str, int]]:
    return {
        name: {lane: int((pair.lane[which][there] == lane).sum()) for lane in LANES}
        for name, there in (("with", pair.truth), ("without", ~pair.truth))
    }


def _subgroup(pair: Pair, *, of: str, value: str, rounds: int, seed: int) -> dict[str, Any]:
    """One group's figures of both bundles and their difference; None where one of the classes is lacking."""
    with_it = len(np.unique(pair.patients[pair.truth]))
    without = len(np.unique(pair.patients[~pair.truth]))
    told: dict[str, Any] = {
        "of": of,
        "value": value,
        "images": len(pair.truth),
        "patients_with": with_it,
        "patients_without": without,
        "sufficient": min(with_it, without) >= LEAST_PATIENTS,
    }
    if not with_it or not without:
        return told | {"candidate": None, "active": None, "difference": None}

    def figures(at: NDArray[np.intp]) -> list[float]:
        both = [[FIGURES[name](pair, which, at) for name in SUBGROUP_FIGURES] for which in (0, 1)]
        return [*both[1], *both[0], *(after - before for before, after in zip(*both, strict=True))]

    found = with_interval(pair.patients, figures, rounds=rounds, seed=seed)
    parts = [found[first : first + len(SUBGROUP_FIGURES)] for first in range(0, len(found), 3)]
    return told | {
        name: dict(zip(SUBGROUP_FIGURES, part, strict=True))
        for name, part in zip(("candidate", "active", "difference"), parts, strict=True)
    }


def _withheld(pair: Pair, group: NDArray[np.bool_]) -> dict[str, Any]:
    """Of how many of a group's images and patients was asked, and how many images each bundle withheld: the
    group's other figures are of those that both read.
    """
    counts = {name: int(silent[group].sum()) for name, silent in zip(NAMES, pair.silent, strict=True)}
    with_it, without = (
        len(np.unique(pair.asked_patients[group & there])) for there in (pair.asked_truth, ~pair.asked_truth)
    )
    return {
        "asked": int(group.sum()),
        "asked_enough": min(with_it, without) >= LEAST_PATIENTS,
        "withheld": counts,
    }


def _mistakes(pair: Pair) -> list[dict[str, Any]]:
    """What the candidate called wrong, the surest first: `at` is the image's place among those asked of."""
    wrong = ~pair.right[1]
    sure = pair.probability[1]
    missed = sorted(np.flatnonzero(wrong & pair.truth), key=lambda at: float(sure[at]))
    alarmed = sorted(np.flatnonzero(wrong & ~pair.truth), key=lambda at: -float(sure[at]))
    return [
        {
            "at": int(pair.at[at]),
            "kind": kind,
            "probability": _round(float(sure[at])),
            "active_probability": _round(float(pair.probability[0][at])),
            "active_right": bool(pair.right[0][at]),
            "lane": str(pair.lane[1][at]),
        }
        for kind, found in (("missed", missed), ("alarmed", alarmed))
        for at in found[:MOST_MISTAKES]
    ]


def _round(value: float) -> float:
    return round(value, 4)
