"""What an evaluation makes of answers: lanes by patient, calibration at even odds, bounds passed."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from models.answers import Answers, broken_bounds, calibration_figures, lanes
from models.bundle import Bundle, default_bundle_path
from models.manifest import Thresholds


@pytest.fixture(scope="module")
def shipped() -> Thresholds:
    return Bundle.load(default_bundle_path(), device="cpu").manifest.thresholds["pneumonia"]


def answers(truth: list[int], probability: list[float]) -> Answers:
    patients = np.array([f"p{number // 2}" for number in range(len(truth))])
    return Answers(np.array(truth, dtype=np.float32), np.array(probability), patients, withheld=0)


def test_a_patient_is_missed_by_one_image_in_the_rule_out_lane(shipped: Thresholds) -> None:
    told = lanes(answers([1] * 8 + [0] * 8, [0.9] * 7 + [0.001] + [0.001] * 6 + [0.99, 0.001]), shipped)
    assert (told["patients_with_finding"], told["patients_missed"], told["missed"]) == (4, 1, 0.25)
    assert (told["patients_without_finding"], told["falsely_ruled_in"]) == (4, 0.25)
    assert told["without_finding_ruled_out"] == 7 / 8


def test_answers_of_one_class_have_no_share_of_the_other(shipped: Thresholds) -> None:
    assert isnan(lanes(answers([1, 1], [0.9, 0.9]), shipped)["falsely_ruled_in"])
    assert isnan(calibration_figures(answers([1, 1], [0.9, 0.9]))["slope"])


def test_calibration_figures_do_not_depend_on_how_many_are_ill() -> None:
    draw = np.random.default_rng(3)
    ill = draw.random(20_000) < 0.5
    odds = draw.normal(np.where(ill, 2.0, -2.0), 2.0)
    probability = 1 / (1 + np.exp(-odds))
    keep = ill | (draw.random(len(ill)) < 0.3)
    for chosen in (np.ones(len(ill), dtype=bool), keep):
        right = calibration_figures(
            Answers(
                ill[chosen].astype(np.float32), probability[chosen], np.arange(chosen.sum()).astype(str), 0
            )
        )
        assert right["slope"] == pytest.approx(1, abs=0.06)
        assert right["intercept"] == pytest.approx(0, abs=0.08)
        assert right["error"] < 0.01


def test_too_sure_answers_have_a_slope_below_one() -> None:
    draw = np.random.default_rng(4)
    ill = draw.random(5_000) < 0.5
    odds = draw.normal(np.where(ill, 2.0, -2.0), 2.0)
    sure = Answers(ill.astype(np.float32), 1 / (1 + np.exp(-3 * odds)), np.arange(5_000).astype(str), 0)
    assert calibration_figures(sure)["slope"] == pytest.approx(1 / 3, abs=0.05)
    assert calibration_figures(sure)["error"] > 0.1


def test_answers_that_are_sure_and_right_are_hardly_off_whatever_their_line() -> None:
    ill = np.arange(200) % 2
    odds = np.where(ill == 1, 4.0, -4.0) + np.linspace(-1.5, 1.5, 200)
    told = calibration_figures(Answers(ill.astype(np.float32), 1 / (1 + np.exp(-odds)), ill.astype(str), 0))
    assert told["slope"] > 1.5
    assert told["error"] < 0.05


def test_changes_under_which_a_bound_was_passed_are_named(shipped: Thresholds) -> None:
    rows = [
        {"change": "blur", "grade": 1.0, "missed": 0.021, "falsely_ruled_in": 0.05},
        {"change": "noise", "grade": 0.33, "missed": 0.02, "falsely_ruled_in": 0.051},
        {"change": "crop", "grade": 1.0, "missed": float("nan"), "falsely_ruled_in": 0.0},
    ]
    assert broken_bounds(rows, shipped) == {"missed": ["blur 1.0"], "falsely_ruled_in": ["noise 0.33"]}
