"""Whether a bundle's maps may be shown: tests of them on held-out patients, with limits that are the same for
the class activation map and for the occlusion map.

A map that fails is worse than none, for it looks like a reason. The limits were set before any map was
measured against them (`docs/training.md` tells what the first look changed), and a bundle states the outcome
in its manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle_file import HEALTHY_CHEST
from models.calibrate import probabilities
from models.dataset import Labelled
from models.explain_figures import Asked, curve_figures, outside_figures, verdicts
from models.explain_occlusion import occlusion_maps, randomised_occlusion
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
from models.occlusion import CELLS, WINDOW, healthy_chest, logits_of
from models.preprocess import Float
from models.runtime import AGREEMENT_TOLERANCE, LARGEST_BATCH, OpenVinoRuntime, Runtime
from models.sentence import sentence
from models.stress import network_input
from models.thorax import Thorax, find_thorax

__all__ = ["LEAST_IMAGES", "explain", "failures", "verdicts"]

STAGE = sentence("Testing the maps")
MOST_IMAGES = 120
"""Enough for intervals of about .02 on the areas; more would cost minutes."""
LEAST_IMAGES = 20
"""Below this many images with the finding called, an interval says nothing, and the map counts as failed."""
RANDOMISED_IMAGES = 24
RANDOMISED_SEEDS = (1, 2)

ACTIVATION, OCCLUSION = "activation_map", "occlusion_map"
NO_HEALTHY_CHEST = sentence(
    "The bundle carries no healthy chest to put in the place of what is hidden: there were too few "
    "radiographs without the finding to take the mean of."
)

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


def explain(
    runtime: Runtime,
    members: Mapping[str, bytes],
    manifest: Manifest,
    data: Labelled,
    *,
    seed: int,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """What the maps of the bundle's first finding are worth on held-out patients, as the manifest keeps it:
    of the class activation map ``passes``, the sentences of what ``failed``, the limits, and the figures with
    95% intervals from resampling patients; and the same of the occlusion map under ``occlusion_map``.

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
        images, without, said_finding = len(asked), len(stand_ins), finding.name
        few_of = sentence(
            f"There are only {images} held-out images with {said_finding} called and {without} without it: "
            f"too few to test the map on ({LEAST_IMAGES} and 1 needed)."
        )
        untested = outcome | {"passes": False, "failed": [few_of]}
        return untested | {OCCLUSION: dict(untested)}

    network = network_of(members, findings=len(manifest.findings))
    few = min(len(asked), RANDOMISED_IMAGES)
    occluded = HEALTHY_CHEST in members
    total = (2 if occluded else 1) * len(asked) + (few if occluded else 0)
    total += 2 * len(layers(network)) * len(RANDOMISED_SEEDS)
    done = 0

    def on_done(count: int = 1) -> None:
        nonlocal done
        done += count
        report(STAGE, done, total)

    chosen, maps = _look(runtime, data, asked)
    kinds = {ACTIVATION: maps}
    if occluded:
        healthy = healthy_chest(members[HEALTHY_CHEST])
        logit = logits_of(runtime, manifest)
        kinds[OCCLUSION] = occlusion_maps(chosen, healthy, logit, on_image=on_done)
    by_kind = curve_figures(chosen, kinds, stand_ins, probability, seed=seed, on_cases=on_done)
    figures = {
        "sums": _sums(network, members, chosen, maps, bias=finding.bias, fit=fit),
        "curves": by_kind[ACTIVATION],
        "randomised": _randomised(network, chosen.pictures[:few], on_pass=on_done),
        "thorax": outside_figures(chosen, maps, seed=seed),
    }
    if not occluded:
        return outcome | judged(figures) | {OCCLUSION: {"passes": False, "failed": [NO_HEALTHY_CHEST]}}
    of_occlusion = {
        "cells": CELLS,
        "window": WINDOW,
        "curves": by_kind[OCCLUSION],
        "randomised": randomised_occlusion(
            network, chosen, healthy, count=few, seeds=RANDOMISED_SEEDS, on_image=on_done
        ),
        "thorax": outside_figures(chosen, kinds[OCCLUSION], seed=seed),
    }
    return outcome | judged(figures) | {OCCLUSION: outcome | judged(of_occlusion)}


def judged(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a map with ``passes`` and what ``failed``."""
    failed = failures(figures)
    return dict(figures) | {"passes": not failed, "failed": failed}


def failures(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for each test that a map does not pass; only one that has ``sums`` must sum to the logit."""
    failed = []
    found = figures["thorax"]
    if "sums" in figures:
        sums = figures["sums"]
        if sums["torch"] > MOST_SUM_ERROR or sums["openvino_probability"] > AGREEMENT_TOLERANCE:
            failed.append(sentence("The map does not sum to the logit."))
    orders = (
        ("random", sentence("a random order")),
        ("centre", sentence("an order from the middle outwards")),
    )
    for kind, said_verb in (("deletion", sentence("taken away")), ("insertion", sentence("shown"))):
        for other, said_words in orders:
            if not figures["curves"][kind][f"better_than_{other}"]["low"] > 0:
                failed.append(
                    sentence(f"What the map points at, {said_verb} first, matters no more than {said_words}.")
                )
    left = figures["randomised"]["cascading"]
    parts = ("head", sentence("a random head")), ("stem", sentence("random weights throughout"))
    for layer, said_words in parts:
        if not left[layer] <= MOST_CORRELATION:
            failed.append(sentence(f"With {said_words} the map stays nearly the same ({left[layer]:.2f})."))
    if not found["outside"]["high"] < found["area"]["value"]:
        failed.append(sentence("The map points outside the thorax as often as chance would."))
    if not found["outside"]["value"] <= MOST_OUTSIDE:
        share = found["outside"]["value"]
        failed.append(sentence(f"{share:.0%} of what the map points at is outside the thorax."))
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


def _look(runtime: Runtime, data: Labelled, asked: NDArray[np.intp]) -> tuple[Asked, Float]:
    """The images with their class activation maps (n, h, w) by the runtime that serves."""
    images = data.images[asked]
    pictures = network_input(images)
    maps = [runtime.look(pictures[at : at + LARGEST_BATCH]).maps[:, 0] for at in _starts(len(pictures))]
    thoraces = tuple(find_thorax(image) for image in images)
    return Asked(images, pictures, data.patients[asked], thoraces), np.concatenate(maps)


def _sums(
    network: Network,
    members: Mapping[str, bytes],
    asked: Asked,
    maps: Float,
    *,
    bias: float,
    fit: Calibration,
) -> dict[str, float]:
    """How far sum over map plus bias is from the logit by pooling, in fp32; what makes it up on average."""
    pooled = pooled_logits(network, asked.pictures)
    through_torch = maps_of(network, asked.pictures).sum(axis=(1, 2), dtype=np.float64) + bias
    exact = OpenVinoRuntime(members, precision="fp32")
    again = [exact.look(asked.pictures[at : at + LARGEST_BATCH]).maps[:, 0] for at in _starts(len(pooled))]
    through_openvino = np.concatenate(again).sum(axis=(1, 2), dtype=np.float64) + bias
    apart = np.abs(probabilities(through_openvino, fit) - probabilities(pooled, fit))
    return {
        "torch": round(float(np.abs(through_torch - pooled).max()), 6),
        "openvino": round(float(np.abs(through_openvino - pooled).max()), 6),
        "openvino_probability": round(float(apart.max()), 6),
        "bias": round(bias, 4),
        "speaks_for": round(float(np.maximum(maps, 0).sum(axis=(1, 2)).mean()), 4),
        "speaks_against": round(float(np.minimum(maps, 0).sum(axis=(1, 2)).mean()), 4),
    }


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
