"""Whether a bundle's class activation map may be shown: four tests of it on held-out patients, with limits.

A map that fails is worse than none, for it looks like a reason. The limits were set before any map was
measured against them (`docs/training.md` tells what the first look changed), and a bundle states the outcome
in its manifest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import figures as merit
from models.calibrate import probabilities
from models.dataset import Labelled
from models.explain_curves import STEPS, Case, curves, laid_over, read_as
from models.explain_randomised import (
    layers,
    maps_of,
    network_of,
    pooled_logits,
    randomised_correlations,
    rank_correlation,
)
from models.figures import Array
from models.judge import Report
from models.manifest import Calibration, Manifest
from models.network import Network
from models.preprocess import Float
from models.runtime import AGREEMENT_TOLERANCE, LARGEST_BATCH, OpenVinoRuntime, Runtime
from models.stress import network_input
from models.thorax import Thorax, find_thorax

STAGE = "Testing the map"
MOST_IMAGES = 120
"""Enough for intervals of about .02 on the areas; more would cost minutes."""
LEAST_IMAGES = 20
"""Below this many images with the finding called, an interval says nothing, and the map counts as failed."""
RANDOMISED_IMAGES = 24
RANDOMISED_SEEDS = (1, 2)

MOST_SUM_ERROR = 1e-3
"""Largest difference, through torch in fp32, of the sum over the map plus the bias from the logit by pooling:
the map is exact by its construction, and more than rounding would mean that it is another network's. Through
OpenVINO, whose weights are rounded after the norms are folded in, the probability may differ by what any
runtime's may (`models.runtime`)."""
MOST_CORRELATION = 0.5
"""Rank correlation with the true maps, whatever its sign, that is left on average once the head's weights are
random, and once all are: at .5 a quarter of the order of the cells (its square) would still not come from
what was learnt. Maps of 25 cells that have nothing to do with each other come to .16."""
MOST_OUTSIDE = 0.5
"""Share of what speaks for the finding that may lie outside the thorax: pneumonia is inside, and a reader who
is shown it outside more often than inside is misled. And at the upper end of its interval the share must be
below the outside's share of the area, or the map does not know where the chest is."""


@dataclass(frozen=True)
class _Asked:
    """The held-out images whose finding the bundle calls present: those of which a reader asks why."""

    images: NDArray[np.uint8]
    pictures: Float
    """As the network takes them, (n, 1, side, side)."""
    maps: Float
    """By the runtime that serves, (n, h, w)."""
    patients: NDArray[np.str_]
    thoraces: tuple[Thorax | None, ...]


def explain(
    runtime: Runtime,
    members: Mapping[str, bytes],
    manifest: Manifest,
    data: Labelled,
    *,
    seed: int,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """What the map of the bundle's first finding is worth on held-out patients, as the manifest keeps it:
    ``passes``, the sentences of what ``failed``, the limits, and the figures with 95% intervals from
    resampling patients.

    ``runtime`` is what serves the bundle of these members; ``data`` are squashed images of patients it was
    neither trained nor chosen on. Both are only read.
    """
    finding = manifest.findings[0]
    fit = manifest.calibration[finding.name]
    truth = data.labels[:, data.findings.index(finding.name)]

    def probability(pictures: Float) -> Array:
        sums = runtime.look(pictures).maps[:, 0].sum(axis=(1, 2), dtype=np.float64) + finding.bias
        return probabilities(sums, fit)

    said = np.concatenate(
        [probability(network_input(data.images[at : at + LARGEST_BATCH])) for at in _starts(len(data))]
    )
    called = said >= manifest.thresholds[finding.name].operating_point
    asked = _choose(np.flatnonzero(called), data.patients, seed=seed, most=MOST_IMAGES)
    outcome: dict[str, Any] = {
        "finding": finding.name,
        "images": len(asked),
        "patients": len(np.unique(data.patients[asked])),
        "limits": {
            "sum_error": MOST_SUM_ERROR,
            "openvino_probability_error": AGREEMENT_TOLERANCE,
            "randomised_correlation": MOST_CORRELATION,
            "outside_thorax": MOST_OUTSIDE,
            "images": LEAST_IMAGES,
        },
    }
    stand_ins = _stand_ins(data.images, np.flatnonzero(~called & (truth < 0.5)), seed=seed)
    if len(asked) < LEAST_IMAGES or not stand_ins:
        what = f"{len(asked)} held-out images with {finding.name} called and {len(stand_ins)} without it"
        return outcome | {
            "passes": False,
            "failed": [f"There are only {what}: too few to test the map on ({LEAST_IMAGES} and 1 needed)."],
        }

    network = network_of(members, findings=len(manifest.findings))
    few = min(len(asked), RANDOMISED_IMAGES)
    total = len(asked) + 2 * len(layers(network)) * len(RANDOMISED_SEEDS)
    done = 0

    def on_done(count: int = 1) -> None:
        nonlocal done
        done += count
        report(STAGE, done, total)

    chosen = _look(runtime, data, asked)
    figures = {
        "sums": _sums(network, members, chosen, bias=finding.bias, fit=fit),
        "curves": _curves(chosen, stand_ins, probability, seed=seed, on_cases=on_done),
        "randomised": _randomised(network, chosen.pictures[:few], on_pass=on_done),
        "thorax": _outside(chosen, seed=seed),
    }
    failed = failures(figures)
    return outcome | figures | {"passes": not failed, "failed": failed}


def failures(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for each test that the map does not pass."""
    failed = []
    sums, found = figures["sums"], figures["thorax"]
    if sums["torch"] > MOST_SUM_ERROR or sums["openvino_probability"] > AGREEMENT_TOLERANCE:
        failed.append("The map does not sum to the logit.")
    for kind, verb in (("deletion", "taken away"), ("insertion", "shown")):
        for other, words in (("random", "a random order"), ("centre", "an order from the middle outwards")):
            if not figures["curves"][kind][f"better_than_{other}"]["low"] > 0:
                failed.append(f"What the map points at, {verb} first, matters no more than {words}.")
    left = figures["randomised"]["cascading"]
    for layer, words in (("head", "a random head"), ("stem", "random weights throughout")):
        if not left[layer] <= MOST_CORRELATION:
            failed.append(f"With {words} the map stays nearly the same ({left[layer]:.2f}).")
    if not found["outside"]["high"] < found["area"]["value"]:
        failed.append("The map points outside the thorax as often as chance would.")
    if not found["outside"]["value"] <= MOST_OUTSIDE:
        failed.append(f"{found['outside']['value']:.0%} of what the map points at is outside the thorax.")
    return failed


def _starts(count: int) -> range:
    return range(0, count, LARGEST_BATCH)


def _choose(
    images: NDArray[np.intp], patients: NDArray[np.str_], *, seed: int, most: int
) -> NDArray[np.intp]:
    """At most so many of the images, whole patients in an order drawn by the seed."""
    order = np.random.default_rng(seed).permutation(np.unique(patients[images]))
    turn = {patient: number for number, patient in enumerate(order)}
    return np.array(sorted(images, key=lambda at: (turn[patients[at]], at))[:most], dtype=np.intp)


def _stand_ins(
    images: NDArray[np.uint8], without: NDArray[np.intp], *, seed: int
) -> list[tuple[Float, Thorax]]:
    """Radiographs without the finding, and not called, that may take the place of others."""
    drawn = np.random.default_rng((seed, 1)).permutation(without)[:MOST_IMAGES]
    found = [(at, find_thorax(images[at])) for at in drawn]
    return [(network_input(images[at][None])[0, 0], thorax) for at, thorax in found if thorax is not None]


def _look(runtime: Runtime, data: Labelled, asked: NDArray[np.intp]) -> _Asked:
    images = data.images[asked]
    pictures = network_input(images)
    maps = [runtime.look(pictures[at : at + LARGEST_BATCH]).maps[:, 0] for at in _starts(len(pictures))]
    thoraces = tuple(find_thorax(image) for image in images)
    return _Asked(images, pictures, np.concatenate(maps), data.patients[asked], thoraces)


def _sums(
    network: Network, members: Mapping[str, bytes], asked: _Asked, *, bias: float, fit: Calibration
) -> dict[str, float]:
    """How far sum over map plus bias is from the logit by pooling, in fp32; what makes it up on average."""
    pooled = pooled_logits(network, asked.pictures)
    through_torch = maps_of(network, asked.pictures).sum(axis=(1, 2), dtype=np.float64) + bias
    exact = OpenVinoRuntime(members, precision="fp32")
    maps = [exact.look(asked.pictures[at : at + LARGEST_BATCH]).maps[:, 0] for at in _starts(len(pooled))]
    through_openvino = np.concatenate(maps).sum(axis=(1, 2), dtype=np.float64) + bias
    apart = np.abs(probabilities(through_openvino, fit) - probabilities(pooled, fit))
    return {
        "torch": round(float(np.abs(through_torch - pooled).max()), 6),
        "openvino": round(float(np.abs(through_openvino - pooled).max()), 6),
        "openvino_probability": round(float(apart.max()), 6),
        "bias": round(bias, 4),
        "speaks_for": round(float(np.maximum(asked.maps, 0).sum(axis=(1, 2)).mean()), 4),
        "speaks_against": round(float(np.minimum(asked.maps, 0).sum(axis=(1, 2)).mean()), 4),
    }


def _curves(
    asked: _Asked,
    stand_ins: list[tuple[Float, Thorax]],
    probability: Callable[[Float], Array],
    *,
    seed: int,
    on_cases: Callable[[int], None],
) -> dict[str, Any]:
    """Mean curves, their areas, and by how much the map's order is better than the others."""
    cases = []
    for number, (picture, activation, thorax) in enumerate(
        zip(asked.pictures[:, 0], asked.maps, asked.thoraces, strict=True)
    ):
        other, its = stand_ins[number % len(stand_ins)]
        stand_in = other if thorax is None else laid_over(other, its=its, on=thorax)
        cases.append(Case(picture, stand_in, activation))
    by_order = curves(cases, probability, seed=seed, on_cases=on_cases)
    outcome: dict[str, Any] = {"steps": STEPS, "read_as": read_as(cases, probability)}
    for kind, sign in (("deletion", -1.0), ("insertion", 1.0)):
        areas = {
            name: found.deletion_area() if kind == "deletion" else found.insertion_area()
            for name, found in by_order.items()
        }
        outcome[kind] = {
            name: {
                "area": _interval(area, asked.patients, seed=seed),
                "curve": [
                    round(float(value), 4)
                    for value in (found.deletion if kind == "deletion" else found.insertion).mean(axis=0)
                ],
            }
            for (name, found), area in zip(by_order.items(), areas.values(), strict=True)
        } | {
            f"better_than_{name}": _interval(sign * (areas["map"] - areas[name]), asked.patients, seed=seed)
            for name in areas
            if name != "map"
        }
    return outcome


def _randomised(network: Network, pictures: Float, *, on_pass: Callable[[], None]) -> dict[str, Any]:
    """Mean rank correlation with the true maps by layer, and that of other patients' maps; without signs."""
    true = maps_of(network, pictures, half=True)
    found = randomised_correlations(network, pictures, seeds=RANDOMISED_SEEDS, on_pass=on_pass)
    return {
        "images": len(pictures),
        "of_other_patients": round(float(np.abs(rank_correlation(true, np.roll(true, 1, axis=0))).mean()), 4),
    } | {
        kind: {layer: round(float(values.mean()), 4) for layer, values in by_layer.items()}
        for kind, by_layer in found.items()
    }


def _outside(asked: _Asked, *, seed: int) -> dict[str, Any]:
    """Share outside the thorax of what speaks for the finding, and of the area; cells by their parts."""
    shares, areas, patients, none = [], [], [], 0
    rows, columns = asked.maps.shape[1:]
    side = asked.images.shape[1]
    for activation, thorax, patient in zip(asked.maps, asked.thoraces, asked.patients, strict=True):
        speaks = np.maximum(activation, 0).astype(np.float64)
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
        "outside": _interval(np.array(shares), who, seed=seed),
        "area": _interval(np.array(areas), who, seed=seed),
    }


def _interval(values: Array, patients: NDArray[np.str_], *, seed: int) -> dict[str, float]:
    """The mean with its 95% interval from resampling patients."""
    low, high = merit.bootstrap(patients, lambda at: float(values[at].mean()), seed=seed)
    return {"value": round(float(values.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
