"""Orders, curves, layouts and correlations, of which the tests of the map are made."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.explain_curves import STEPS, Case, curves, removed
from models.explain_randomised import rank_correlation
from models.phantom import phantom
from models.preprocess import Float
from models.thorax import find_thorax, laid_over

SIDE = 96


def test_points_leave_worthiest_first_from_none_to_all() -> None:
    worth = np.tile(np.arange(48, dtype=np.float32), (48, 1))
    masks = removed(worth)
    assert masks.shape == (STEPS + 1, 48, 48)
    assert masks[0].max() == 0
    assert masks[-1].min() == 1
    assert masks[3][:, -6:].min() > 0.95, "the worthiest quarter but for its soft edge"
    assert masks[3][:, :30].max() < 0.01


def test_an_order_that_knows_the_place_beats_chance_and_the_middle() -> None:
    """A network that sees only one corner, and a map that says so."""
    spot = np.zeros((48, 48), np.float32)
    spot[:12, :12] = 1
    activation = np.zeros((4, 4), np.float32)
    activation[0, 0] = 1
    elsewhere = np.rot90(activation, 2)
    cases = [Case(spot, np.zeros_like(spot), {"map": activation, "wrong map": elsewhere})] * 6

    def probability(pictures: Float) -> np.ndarray:
        return pictures[:, 0, :12, :12].mean(axis=(1, 2)).astype(np.float64)

    found = curves(cases, probability, seed=3)
    for order in ("random", "centre", "wrong map"):
        assert (found["map"].deletion_area() < found[order].deletion_area()).all()
        assert (found["map"].insertion_area() > found[order].insertion_area()).all()
    assert found["map"].deletion[0, 0] == 1
    assert found["map"].deletion[0, -1] == 0
    assert found["map"].insertion[0, -1] == 1


def test_another_chest_is_laid_so_that_its_thorax_covers_this_one() -> None:
    here, other = (phantom(seed, rows=SIDE, columns=SIDE) for seed in (1, 2))
    move = np.array([[0.9, 0, 9], [0, 1, 3]], dtype=np.float64)
    moved = cv2.warpAffine(other, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    on, its = find_thorax(here), find_thorax(moved)
    assert on is not None
    assert its is not None
    there = find_thorax(laid_over(moved.astype(np.float32), its=its, on=on).astype(np.uint8))
    assert there is not None
    assert np.abs(there.outline - on.outline).max() < 0.03
    assert np.abs(its.outline - on.outline).max() > 0.05, "they lay apart before"


def test_rank_correlation_is_spearmans() -> None:
    one = np.array([[[1.0, 2.0], [3.0, 4.0]]] * 3, np.float32)
    other = np.array([[[10, 20], [30, 40]], [[4, 3], [2, 1]], [[5, 5], [5, 5]]], np.float32)
    assert rank_correlation(one, other).round(6).tolist() == [1, -1, 0]
    ties = rank_correlation(one[:1], np.array([[[1, 1], [2, 3]]], np.float32))
    assert ties[0] == pytest.approx(0.948683, abs=1e-5), "scipy.stats.spearmanr([1, 2, 3, 4], [1, 1, 2, 3])"
