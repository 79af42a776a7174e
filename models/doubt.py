"""Likely label errors: how strongly a network that has not seen a picture's patient disagrees with its label.

Features of a network, frozen, and a head for the labels as they are, fitted without the fifth of the patients
that it then judges (cross-fitting, as in Northcutt et al., Confident Learning, 2021). It works for findings
that the network was never trained for; where its features were themselves trained on these labels, it doubts
less than it should.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dataset import split_by_patient
from models.feature_store import FeatureStore
from models.features import FrozenFeatures, fit_head
from models.network import Network, imagenet_network
from models.preprocess import Float
from models.quick import features_name
from models.sentence import sentence
from models.start import Start
from models.stress import network_input

FOLDS = 5
LEAST_PATIENTS = 15
"""Of a class; with fewer a head that lacks a fifth of them says nothing."""
_SEED = 7
_FEATURES = sentence("Looking for doubtful labels")
_HEADS = sentence("Asking heads that do not know the patient")

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Opinion:
    """What a head that knows neither the picture nor its patient says of it."""

    doubt: float
    """1 less the probability of the picture's label, 0 to 1."""
    thinks: str
    """The class it holds for most likely."""
    probability: float
    """Of that class."""


def features_of(
    squares: NDArray[np.uint8],
    wanted: Sequence[int],
    *,
    bundle: Path,
    cache: Path | None,
    threads: int,
    report: Report,
) -> Float:
    """Features of the wanted ones of squashed pictures, uint8 (n, side, side) with the bundle's side, which
    may lie on a disk; float32 (len(wanted), 1280).

    They are kept in the cache by content, where quick training from the same bundle finds them.
    """
    start = Start.read(bundle)
    network: Network = imagenet_network(1)
    start.give(network, findings=(), whole=False)
    side = start.manifest.input_size
    store = FeatureStore(cache, network=features_name(network, side=side))
    keys = [hashlib.sha256(squares[at].tobytes()).digest() for at in wanted]
    new = {key: at for key, at in zip(keys, wanted, strict=True) if key not in store}
    missing = list(new.values())
    done = len(keys) - len(missing)
    report(_FEATURES, done, len(keys))

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report(_FEATURES, done, len(keys))

    if missing:
        frozen = FrozenFeatures(network, side=side, threads=threads)
        found = frozen.of(
            lambda first, last: network_input(squares[missing[first:last]]), len(missing), on_images=on_images
        )
        store.add(list(new), found)
    return store.of(keys)


def opinions(
    features: Float, labels: Sequence[str], patients: Sequence[str], *, report: Report
) -> list[Opinion] | None:
    """One for each picture, in order; None where a class has fewer patients than `LEAST_PATIENTS`."""
    classes = sorted(set(labels))
    held = Counter(label for label, _ in set(zip(labels, patients, strict=True)))
    if len(classes) < 2 or min(held.values()) < LEAST_PATIENTS:
        return None
    truth = np.array([classes.index(label) for label in labels])
    fold = _folds(np.array(patients), truth)
    shares = np.zeros((len(labels), len(classes)))
    for number in range(FOLDS):
        report(_HEADS, number, FOLDS)
        known, asked = fold != number, fold == number
        if not asked.any():
            continue
        targets = np.eye(len(classes), dtype=np.float32)[truth[known]]
        if len(classes) == 2:
            targets = targets[:, 1:]
        weight, bias = fit_head(features[known], targets)
        scores = np.clip(features[asked] @ weight.T + bias, -40, 40)
        odds = 1 / (1 + np.exp(-scores.astype(np.float64)))
        shares[asked] = np.hstack([1 - odds, odds]) if len(classes) == 2 else odds
    shares /= shares.sum(axis=1, keepdims=True)
    report(_HEADS, FOLDS, FOLDS)
    best = shares.argmax(axis=1)
    return [
        Opinion(
            doubt=float(1 - shares[at, truth[at]]),
            thinks=classes[best[at]],
            probability=float(shares[at, best[at]]),
        )
        for at in range(len(labels))
    ]


def _folds(patients: NDArray[np.str_], truth: NDArray[np.int_]) -> NDArray[np.int_]:
    """The fifth each picture is in: all of a patient's in one, each class spread over all."""
    highest: dict[str, int] = {}
    for patient, label in zip(patients, truth, strict=True):
        highest[str(patient)] = max(highest.get(str(patient), 0), int(label))
    strata = np.array([highest[str(patient)] for patient in patients])
    return split_by_patient(patients, shares=[1 / FOLDS] * FOLDS, seed=_SEED, strata=strata)
