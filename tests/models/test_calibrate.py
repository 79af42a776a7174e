"""Probabilities that mean what they say, and cuts whose bounds hold."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibrate import fit_platt, operating_point, probabilities, rule_in_cut, rule_out_cut, upper_bound
from models.figures import auc, bootstrap, brier, log_odds, specificity_at
from models.manifest import Calibration


def draw(seed: int, *, patients: int, slope: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits that are true log odds times ``slope``, outcomes drawn from them, and a patient each."""
    generator = np.random.default_rng(seed)
    true = generator.normal(0, 3, patients)
    truth = (generator.random(patients) < 1 / (1 + np.exp(-true))).astype(np.float32)
    return true * slope, truth, np.array([f"p{number}" for number in range(patients)])


def test_calibration_finds_the_slope_that_was_lost() -> None:
    logits, truth, _ = draw(0, patients=20_000, slope=4.0)
    fit = fit_platt(logits + 2.0, truth)
    assert fit.slope == pytest.approx(0.25, abs=0.02)
    assert fit.intercept == pytest.approx(-0.5, abs=0.1)
    assert brier(truth, probabilities(logits + 2.0, fit)) < brier(
        truth, probabilities(logits, fit_platt(logits, 1 - truth))
    )


def test_calibration_to_equal_classes_moves_the_odds_by_the_odds_of_the_data() -> None:
    logits, truth, _ = draw(1, patients=20_000)
    keep = (truth > 0) | (np.random.default_rng(2).random(len(truth)) < 0.25)
    natural, even = fit_platt(logits[keep], truth[keep]), fit_platt(logits[keep], truth[keep], prevalence=0.5)
    share = truth[keep].mean()
    assert natural.intercept - even.intercept == pytest.approx(np.log(share / (1 - share)), abs=0.1)


def test_perfectly_separated_data_give_finite_confidence() -> None:
    fit = fit_platt(np.array([-9.0, -8, 8, 9]), np.array([0, 0, 1, 1]))
    assert 0 < fit.slope < 3


@pytest.mark.parametrize(
    ("errors", "trials", "bound"), [(0, 100, 0.0295), (1, 100, 0.0466), (5, 100, 0.1023), (0, 300, 0.00994)]
)
def test_the_upper_bound_is_that_of_clopper_and_pearson(errors: int, trials: int, bound: float) -> None:
    assert upper_bound(errors, trials) == pytest.approx(bound, abs=5e-5)


@pytest.mark.parametrize(
    "fitted", [False, True], ids=["cuts alone", "calibration fitted on the same patients"]
)
def test_each_bound_fails_no_more_often_than_its_level_allows(fitted: bool) -> None:
    """Over many draws the share of sites where the true error passes the promised one stays below 5% (and a
    little), also where, as in training, the same patients first served to fit the calibration.
    """
    population, outcome, _ = draw(99, patients=400_000, slope=2.5)
    with_it, without = np.sort(population[outcome > 0]), np.sort(population[outcome < 1])
    broken_out, broken_in, rounds = 0, 0, 200
    for seed in range(rounds):
        logits, truth, patients = draw(seed, patients=700, slope=2.5)
        fit = fit_platt(logits, truth, prevalence=0.5) if fitted else Calibration(0.4, 0.0, 0.5)
        sample = probabilities(logits, fit)
        out, into = (
            None if cut is None else (log_odds(np.array([cut]))[0] - fit.intercept) / fit.slope
            for cut in (rule_out_cut(sample, truth, patients), rule_in_cut(sample, truth, patients))
        )
        broken_out += out is not None and np.searchsorted(with_it, out) / len(with_it) > 0.02
        broken_in += into is not None and 1 - np.searchsorted(without, into) / len(without) > 0.05
    allowed = rounds * 0.05 + 2 * np.sqrt(rounds * 0.05 * 0.95)
    assert broken_out <= allowed
    assert broken_in <= allowed


def test_too_few_patients_give_no_lanes() -> None:
    patients = np.array([f"p{number}" for number in range(40)])
    truth = np.array([0, 1] * 20)
    probability = np.where(truth > 0, 0.95, 0.05)
    assert rule_out_cut(probability, truth, patients) is None
    assert rule_in_cut(probability, truth, patients) is None


def test_a_patient_counts_as_missed_by_the_worst_image() -> None:
    patients = np.array([f"p{number // 2}" for number in range(600)])
    one_low = np.where(np.arange(600) % 2 == 0, 0.005, 0.9)
    truth = np.ones(600)
    assert rule_out_cut(np.full(600, 0.9), truth, patients) == pytest.approx(0.9)
    assert rule_out_cut(one_low, truth, patients) == pytest.approx(0.005)


def test_the_operating_point_is_the_best_balance_and_nearest_to_one_half() -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    assert operating_point(probability, np.array([0, 0, 0, 1, 1])) == pytest.approx(0.5)
    assert 0.8 < operating_point(np.array([0.1, 0.8, 0.85, 0.95]), np.array([0, 0, 1, 1])) <= 0.85


def test_figures_agree_with_values_worked_out_by_hand() -> None:
    truth, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.9])
    assert auc(truth, score) == pytest.approx(0.875)
    assert specificity_at(truth, score, least_sensitivity=1.0) == pytest.approx(0.5)
    assert specificity_at(truth, score, least_sensitivity=0.5) == pytest.approx(1.0)
    assert log_odds(np.array([0.5]))[0] == pytest.approx(0)
    assert np.isnan(auc(np.ones(3), np.arange(3)))


def test_an_interval_from_patients_is_wider_than_one_from_their_copies() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat(generator.integers(0, 2, 60), 5)
    score = truth + np.repeat(generator.normal(0, 1.2, 60), 5)

    def figure(index: np.ndarray) -> float:
        return auc(truth[index], score[index])

    patients = np.repeat(np.array([f"p{number}" for number in range(60)]), 5)
    low, high = bootstrap(patients, figure)
    low_copies, high_copies = bootstrap(np.array([f"c{number}" for number in range(300)]), figure)
    assert low < auc(truth, score) < high
    assert high - low > 1.5 * (high_copies - low_copies)
