"""What the tests of a map measure of it: areas under deletion and insertion, and the share outside the
thorax; each with its 95% interval from resampling patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.explain_curves import ORDERS, STEPS, Case, Probability, curves, read_as
from models.figures import Array
from models.preprocess import Float
from models.thorax import Thorax, laid_over

KINDS = {"activation_map": "class activation map", "occlusion_map": "occlusion map"}
"""What `models.explain` tests, by the names manifest and readings know it by."""


def by_kind(outcome: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What `models.explain` found of each kind of map; only of the first in bundles before format 4."""
    told = {"activation_map": outcome}
    return told | {name: outcome[name] for name in KINDS if name in outcome}


def verdict(kind: str, found: Mapping[str, Any]) -> str:
    """Whether such a map passed, and why not, in sentences."""
    outcome = "passes its test" if found["passes"] else "fails its test"
    if not found.get("images", 1):
        outcome = "was not tested"
    return " ".join([f"The {KINDS[kind]} {outcome}.", *found["failed"]])


def verdicts(outcome: Mapping[str, Any]) -> list[str]:
    """`verdict` of each kind of map."""
    return [verdict(kind, found) for kind, found in by_kind(outcome).items()]


@dataclass(frozen=True)
class Asked:
    """The held-out images whose finding the bundle calls present: those of which a reader asks why."""

    images: NDArray[np.uint8]
    pictures: Float
    """As the network takes them, (n, 1, side, side)."""
    patients: NDArray[np.str_]
    thoraces: tuple[Thorax | None, ...]


def curve_figures(
    asked: Asked,
    maps: Mapping[str, Float],
    stand_ins: list[tuple[Float, Thorax]],
    probability: Probability,
    *,
    seed: int,
    on_cases: Callable[[int], None],
) -> dict[str, dict[str, Any]]:
    """For every kind of map, each (n, h, w): mean curves by its order and by the others, their areas, and by
    how much its own order is better.
    """
    cases = []
    for number, (picture, thorax) in enumerate(zip(asked.pictures[:, 0], asked.thoraces, strict=True)):
        other, its = stand_ins[number % len(stand_ins)]
        stand_in = other if thorax is None else laid_over(other, its=its, on=thorax)
        cases.append(Case(picture, stand_in, {kind: each[number] for kind, each in maps.items()}))
    by_order = curves(cases, probability, seed=seed, on_cases=on_cases)
    told = {"steps": STEPS, "read_as": read_as(cases, probability)}
    outcome: dict[str, dict[str, Any]] = {kind: dict(told) for kind in maps}
    for way, sign in (("deletion", -1.0), ("insertion", 1.0)):
        areas = {
            name: found.deletion_area() if way == "deletion" else found.insertion_area()
            for name, found in by_order.items()
        }
        shown = {
            name: {
                "area": interval(areas[name], asked.patients, seed=seed),
                "curve": [
                    round(float(value), 4)
                    for value in (found.deletion if way == "deletion" else found.insertion).mean(axis=0)
                ],
            }
            for name, found in by_order.items()
        }
        for kind in maps:
            outcome[kind][way] = (
                {"map": shown[kind]}
                | {name: shown[name] for name in ORDERS}
                | {
                    f"better_than_{name}": interval(
                        sign * (areas[kind] - areas[name]), asked.patients, seed=seed
                    )
                    for name in ORDERS
                }
            )
    return outcome


def outside_figures(asked: Asked, maps: Float, *, seed: int) -> dict[str, Any]:
    """Share outside the thorax of what speaks for the finding in maps (n, h, w), and of the area; cells by
    their parts.
    """
    shares, areas, patients, none = [], [], [], 0
    rows, columns = maps.shape[1:]
    side = asked.images.shape[1]
    for values, thorax, patient in zip(maps, asked.thoraces, asked.patients, strict=True):
        speaks = np.maximum(values, 0).astype(np.float64)
        if thorax is None or not speaks.sum() > 0:
            none += 1
            continue
        outside = ~thorax.mask(side * rows * columns // math.gcd(side, rows * columns))
        cells = outside.reshape(rows, len(outside) // rows, columns, -1).mean(axis=(1, 3))
        shares.append(float((speaks * cells).sum() / speaks.sum()))
        areas.append(float(cells.mean()))
        patients.append(patient)
    if not shares:
        nothing = {"value": 1.0, "low": 1.0, "high": 1.0}
        return {"images": 0, "left_out": none, "outside": nothing, "area": nothing}
    who = np.array(patients)
    return {
        "images": len(shares),
        "left_out": none,
        "outside": interval(np.array(shares), who, seed=seed),
        "area": interval(np.array(areas), who, seed=seed),
    }


def interval(values: Array, patients: NDArray[np.str_], *, seed: int) -> dict[str, float]:
    """The mean with its 95% interval from resampling patients."""
    low, high = merit.bootstrap(patients, lambda at: float(values[at].mean()), seed=seed)
    return {"value": round(float(values.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
