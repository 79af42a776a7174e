"""The outline of the thorax follows the chest, and is not given where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.dataset import load
from models.examples import excluded_patients, list_examples
from models.parts import TRAIN, parts_of
from models.phantom import phantom
from models.thorax import Picture, Thorax, atlas, draw_outlines, find_thorax
from models.thorax_atlas import atlas_images, fit_atlas


def drawn(seed: int) -> Picture:
    return phantom(seed, rows=160, columns=160, opacity=seed % 2 == 1)


def found(image: Picture) -> Thorax:
    thorax = find_thorax(image)
    assert thorax is not None
    return thorax


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_lungs_of_a_drawn_chest_are_inside_and_its_surroundings_outside(seed: int) -> None:
    mask = found(drawn(seed)).mask(256)
    for column in (84, 172):
        assert mask[80:180, column].all(), "the middle of a lung"
    assert not mask[:, :10].any()
    assert not mask[:, 246:].any()
    assert not mask[246:].any(), "the belly"
    assert not mask[:8].any(), "the neck"


@pytest.mark.parametrize(("across", "down", "right", "below"), [(0.9, 0.9, 0, 0), (1, 0.85, 6, -8)])
def test_the_outline_goes_where_the_chest_goes(across: float, down: float, right: int, below: int) -> None:
    image = drawn(1)
    move = np.array(
        [[across, 0, 80 - across * 80 + right], [0, down, 80 - down * 80 + below]], dtype=np.float64
    )
    moved = cv2.warpAffine(image, move, (160, 160), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    expected = found(image).outline * 160 @ move[:, :2].T + move[:, 2]
    there = replace(found(image), outline=expected / 160)
    assert overlap(there.mask(160), found(moved).mask(160)) > 0.9


def test_grey_levels_do_not_move_the_outline() -> None:
    image = drawn(3)
    darker = (255 * (image / 255) ** 1.8).astype(np.uint8)
    assert overlap(found(image).mask(160), found(darker).mask(160)) > 0.95


def test_no_outline_is_given_where_there_is_no_chest() -> None:
    draw = np.random.default_rng(5)
    noise = draw.integers(0, 256, (160, 160)).astype(np.uint8)
    text = np.full((160, 160), 255, np.uint8)
    for line in range(10, 160, 14):
        cv2.putText(text, "no finding at all", (6, line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 5), dtype=np.uint8)
    for image in (np.zeros((160, 160), np.uint8), noise, blurred, text):
        assert find_thorax(image) is None


def test_a_contact_sheet_shows_every_image_in_rows() -> None:
    sheet = draw_outlines(np.stack([drawn(seed) for seed in range(5)]), columns=3, tile=100)
    assert sheet.shape == (200, 300, 3)
    assert sheet[100:, 200:].max() == 0, "five images leave the sixth place empty"
    assert (sheet[:100, :100] == (0, 220, 255)).all(axis=2).any(), "an outline is drawn"


def test_the_atlas_is_made_of_the_images_that_may_be_trained_on(shared_data: Path) -> None:
    examples, _ = list_examples(shared_data / "kermany")
    exclude = excluded_patients([shared_data / "kermany_originals" / "manifest.csv"])
    data = load(examples, side=160, exclude=exclude)
    again = fit_atlas(atlas_images(data.take(parts_of(data, seed=7) == TRAIN)))
    # Not to the grey level: the match iterates in floats.
    assert np.abs(again.astype(np.float64) - atlas()).mean() < 2
