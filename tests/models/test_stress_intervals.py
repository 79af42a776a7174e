"""Intervals of figures under stress: the same patients are drawn for every change."""

from __future__ import annotations

import numpy as np
import pytest

from models import figures as merit
from models.answers import Answers
from models.stress_intervals import _Change, stress_intervals

PATIENTS = np.array([f"p{at // 2}" for at in range(80)])
TRUTH = (np.arange(80) // 2 % 2).astype(np.float32)


def answers(noise: float, *, seed: int, keep: int = 80) -> Answers:
    """Of an opinion that is right but for so much noise, rounded so that there are ties."""
    drawn = np.random.default_rng(seed).normal(size=80) * noise
    probability = np.round(1 / (1 + np.exp(-(2 * TRUTH - 1 + drawn))), 1)
    return Answers(TRUTH[:keep], probability[:keep], PATIENTS[:keep], 80 - keep)


def test_a_patient_drawn_twice_counts_twice() -> None:
    given = answers(1.0, seed=3)
    everybody = np.unique(PATIENTS)
    times = np.random.default_rng(5).integers(0, 3, len(everybody)).astype(np.float64)
    drawn = np.repeat(np.arange(80), times[np.searchsorted(everybody, PATIENTS)].astype(int))
    change = _Change(given, everybody, point=0.5)
    assert change.auc(times) == pytest.approx(merit.auc(TRUTH[drawn], given.probability[drawn]))
    right = (given.probability[drawn] >= 0.5) == (TRUTH[drawn] > 0.5)
    assert change.accuracy(times) == pytest.approx(right.mean())


def test_the_interval_of_one_change_is_that_of_its_patients_drawn_anew() -> None:
    given = answers(1.0, seed=3)
    sure = stress_intervals([given], point=0.5, rounds=400, seed=1)
    expected = merit.bootstrap(
        PATIENTS, lambda at: merit.auc(TRUTH[at], given.probability[at]), rounds=400, seed=2
    )
    assert sure["mean_auc"] == pytest.approx(expected, abs=0.02)
    assert sure["worst_auc"] == sure["mean_auc"]


def test_the_worst_is_below_the_mean_and_withheld_images_are_nobodys() -> None:
    sure = stress_intervals(
        [answers(0.5, seed=1), answers(2.0, seed=2, keep=60)], point=0.5, rounds=200, seed=1
    )
    assert sure["worst_auc"][0] < sure["mean_auc"][0]
    assert sure["worst_auc"][1] < sure["mean_auc"][1]
    assert 0 < sure["mean_accuracy"][0] < sure["mean_accuracy"][1] < 1


def test_without_rounds_that_tell_there_is_no_interval() -> None:
    alone = Answers(np.ones(4, np.float32), np.linspace(0, 1, 4), np.array(list("abcd")), 0)
    assert stress_intervals([alone], point=0.5, rounds=20, seed=1) == {}
