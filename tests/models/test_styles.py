"""Styles are found without labels, and what a style gives away is worth nothing within it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.dataset import Labelled
from models.phantom import phantom
from models.styles import STYLES, Styles, find_styles
from models.styles_out import bundle_by_style, leave_styles_out
from models.styles_report import style_outcome, tell_styles, write_styles

SIDE = 96
COUNT = 120


def pictures(*, follows_the_class: bool) -> Labelled:
    """Drawn chests of sixty patients, half of them taken with a wide white band beside the chest."""
    images, banded = [], np.arange(COUNT) // 2 % 2 == 1
    truth = banded.copy() if follows_the_class else np.arange(COUNT) // 4 % 2 == 1
    truth[:8] = ~truth[:8]
    for number in range(COUNT):
        image = phantom(number, rows=SIDE, columns=SIDE, opacity=bool(truth[number]))
        if banded[number]:
            image[:, :8] = 250
            image[:, -8:] = 250
            image[:10] = 250
        images.append(image)
    return Labelled(
        images=np.stack(images),
        labels=truth.astype(np.float32)[:, None],
        patients=np.array([f"p{number // 2:03d}" for number in range(COUNT)]),
        splits=np.array([""] * COUNT),
        paths=tuple(str(number) for number in range(COUNT)),
        findings=("pneumonia",),
        notices=(),
    )


def style_of_bands(data: Labelled) -> np.ndarray:
    return data.images[:, 0, 40] == 250


@pytest.mark.parametrize("follows", [True, False])
def test_pictures_taken_alike_fall_together_and_purity_tells_whether_style_goes_with_class(
    follows: bool,
) -> None:
    data = pictures(follows_the_class=follows)
    truth = data.labels[:, 0]
    styles = find_styles(data.images, truth, seed=1, threads=1)
    banded = style_of_bands(data)
    for number in range(STYLES):
        here = banded[styles.style == number]
        assert len(here) == styles.images[number]
        assert here.all() or not here.any(), "no style mixes banded and plain pictures"
    assert list(styles.share_with) == sorted(styles.share_with, reverse=True)
    if follows:
        assert styles.purity(truth) > 0.9
        assert set(np.flatnonzero(styles.against(truth))) <= set(range(8)), "those that were swapped"
    else:
        assert styles.purity(truth) < 0.75


def test_a_score_that_is_nothing_but_the_style_is_worth_a_coins_toss_within_it() -> None:
    style = np.repeat([0, 1], 40)
    truth = np.tile([1, 1, 1, 0], 10).tolist() + np.tile([0, 0, 0, 1], 10).tolist()
    styles = Styles(style, np.array([0.75, 0.25]), np.array([40, 40]))
    patients = np.array([f"p{number}" for number in range(80)])
    labels = np.array(truth, dtype=np.float32)
    cheat = bundle_by_style(styles, labels, 0.5 - style, patients)
    assert cheat["within_style"]["value"] == 0.5
    assert cheat["rare_combinations"]["value"] == 0, "and among the rare combinations it is always wrong"
    assert cheat["rare_combinations"]["sensitivity"] == cheat["rare_combinations"]["specificity"] == 0
    honest = bundle_by_style(styles, labels, labels.astype(float) - 0.5, patients)
    assert honest["within_style"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert styles.against(labels).sum() == 20


def test_the_rarer_class_of_a_style_is_told_by_shares_and_not_by_counts() -> None:
    truth = np.array([1] * 90 + [0] * 30, dtype=np.float32)
    style = np.array([0] * 75 + [1] * 15 + [0] * 15 + [1] * 15)
    styles = Styles(style, np.array([75 / 90, 0.5]), np.array([90, 30]))
    against = styles.against(truth)
    assert against[75:90].all(), "half and half is a style of the healthy where three in four are sick"
    assert against[90:105].all()
    assert against.sum() == 30


def test_every_split_leaves_its_patients_out_and_the_report_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Sixty patients are enough for two styles, not for eight.
    for module in ("styles", "styles_out", "styles_report"):
        monkeypatch.setattr(f"models.{module}.STYLES", 2)
    data = pictures(follows_the_class=False)
    seen: list[tuple[str, int, int]] = []
    outcome, styles = leave_styles_out(data, threads=1, report=lambda *step: seen.append(step))
    assert seen[-1][1] == seen[-1][2], "the bar ends full"
    assert outcome["plain"]["value"] > 0.9, "opacities are told from lungs"
    assert [row["counted"] for row in outcome["styles"]] == [True, True]
    assert outcome["purity"] == 0.5, "each style has as many of either class"
    for split in ("plain", "style_left_out", "rare_class_left_out"):
        figure = outcome["within_style"][split]
        assert 0.5 < figure["low"] <= figure["value"] <= figure["high"]
    assert sum(row["images"] for row in outcome["styles"]) == COUNT
    assert json.loads(json.dumps(outcome)) == outcome
    document, picture, sheet = write_styles(outcome, styles, data, tmp_path / "report")
    assert json.loads(document.read_text())["purity"] == outcome["purity"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sheet.read_bytes().startswith(b"\xff\xd8")


def test_the_bundle_stands_beside_the_heads_on_the_images_kept_for_it() -> None:
    data = pictures(follows_the_class=True)
    kept = np.arange(COUNT) < 60
    evaluated = {"curve": {"probability": data.labels[kept, 0].tolist()}}
    outcome, _ = style_outcome(data, evaluated, kept=kept)
    assert outcome["bundle"]["rare_combinations"]["value"] == 1
    assert outcome["within_style"]["style_left_out"] is None, "no style has ten patients of each class"
    assert any("style left out" in line and "too few to say" in line for line in tell_styles(outcome))
    assert any("the bundle, rare combinations" in line for line in tell_styles(outcome))
    withheld = {"curve": {"probability": data.labels[kept, 0].tolist()[1:]}}
    assert "bundle" not in style_outcome(data, withheld, kept=kept)[0]
