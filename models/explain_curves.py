"""Deletion and insertion: does the picture lose the finding when it loses what the map points at?

After Petsiuk, Das and Saenko, "RISE" (BMVC 2018): points are taken out of the picture, or put in, in the
order of the map, and the probability is followed. What is taken out must be replaced by something, and that
decides what the curves mean. Here it is the same place in the radiograph of another child, one without the
finding, whose thorax is laid over this one's. The usual replacements do not serve where a picture without
detail looks ill to the network: taking something away then takes nothing of the finding. `read_as` tells
what the network makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.figures import Array
from models.preprocess import Float
from models.runtime import LARGEST_BATCH

ORDERS = ("random", "centre")
"""What the order of a map is compared with."""
STEPS = 12
"""Equal parts in which the picture is exchanged: finer ones would be smaller than half a cell of the map."""
_SOFT = 0.02
"""Standard deviation, as a share of the side, of the edge between two pictures: a sharp one is a finding of
its own."""

Probability = Callable[[Float], Array]
"""Calibrated probabilities (n,) of prepared pictures (n, 1, side, side)."""


@dataclass(frozen=True)
class Case:
    """A picture to be taken apart, and what takes its place; both prepared, float32 (side, side)."""

    picture: Float
    stand_in: Float
    maps: Mapping[str, Float]
    """Maps to be tried, (h, w), by their names."""


@dataclass(frozen=True)
class Curves:
    """Probabilities of each case (n, STEPS + 1) while it is exchanged part by part."""

    deletion: Array
    insertion: Array

    def deletion_area(self) -> Array:
        """Area under each deletion curve, (n,): small where the order takes the finding first."""
        return np.asarray(np.trapezoid(self.deletion, axis=1) / STEPS)

    def insertion_area(self) -> Array:
        """Area under each insertion curve, (n,): large where the order shows the finding first."""
        return np.asarray(np.trapezoid(self.insertion, axis=1) / STEPS)


def orders(case: Case, draw: np.random.Generator) -> Mapping[str, Float]:
    """What each point is worth, (side, side), by each map, by chance, and by nearness to the centre.

    Chance is a map as coarse as the first drawn anew: points drawn singly would only be noise.
    """
    side = case.picture.shape[0]
    across = np.linspace(-1, 1, side, dtype=np.float32)
    chance = draw.standard_normal(next(iter(case.maps.values())).shape).astype(np.float32)
    return {
        **{name: _enlarged(values, side) for name, values in case.maps.items()},
        "random": _enlarged(chance, side),
        "centre": -np.hypot(across[:, None], across[None, :]),
    }


def curves(
    cases: list[Case],
    probability: Probability,
    *,
    seed: int,
    on_cases: Callable[[int], None] = lambda _: None,
) -> Mapping[str, Curves]:
    """The curves of every case by every order of `orders`."""
    found: dict[str, list[tuple[Array, Array]]] = {}
    for number, case in enumerate(cases):
        draw = np.random.default_rng((seed, number))
        for name, worth in orders(case, draw).items():
            masks = removed(worth)
            lost = case.picture + masks * (case.stand_in - case.picture)
            shown = case.stand_in + masks * (case.picture - case.stand_in)
            said = _in_batches(probability, np.concatenate([lost, shown])[:, None])
            found.setdefault(name, []).append((said[: STEPS + 1], said[STEPS + 1 :]))
        on_cases(1)
    return {
        name: Curves(np.stack([one for one, _ in pairs]), np.stack([other for _, other in pairs]))
        for name, pairs in found.items()
    }


def read_as(cases: list[Case], probability: Probability) -> dict[str, float]:
    """The median probability of what could take the place of what is deleted: the pictures blurred until no
    rib is left, flat grey, and the stand-ins that do take it.
    """
    side = cases[0].picture.shape[0]
    blurred = np.stack([cv2.GaussianBlur(case.picture, (0, 0), 0.1 * side) for case in cases])
    flat = np.zeros((1, side, side), np.float32)
    stand_ins = np.stack([case.stand_in for case in cases])
    kinds = {"blurred": blurred, "flat": flat, "stand_ins": stand_ins}
    return {
        name: round(float(np.median(_in_batches(probability, pictures[:, None].astype(np.float32)))), 4)
        for name, pictures in kinds.items()
    }


def removed(worth: Float) -> Float:
    """Which points have been exchanged after each step, (STEPS + 1, side, side), 0 to 1 with soft edges; the
    worthiest first, none at the start and all at the end.
    """
    side = worth.shape[0]
    order = np.argsort(-worth.ravel(), kind="stable")
    rank = np.argsort(order, kind="stable").reshape(worth.shape)
    masks = [
        cv2.GaussianBlur((rank < worth.size * step // STEPS).astype(np.float32), (0, 0), _SOFT * side)
        for step in range(1, STEPS)
    ]
    return np.stack([np.zeros_like(worth), *masks, np.ones_like(worth)]).astype(np.float32)


def _enlarged(activation: Float, side: int) -> Float:
    """As the viewer shows it: bilinear between the middles of cells."""
    return np.asarray(cv2.resize(activation, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _in_batches(probability: Probability, pictures: Float) -> NDArray[np.float64]:
    return np.concatenate(
        [
            probability(pictures[first : first + LARGEST_BATCH])
            for first in range(0, len(pictures), LARGEST_BATCH)
        ]
    )
