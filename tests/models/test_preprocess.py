"""One preprocessing, equal for training and serving."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.phantom import phantom
from models.preprocess import prepare, squash, standardise


@pytest.mark.parametrize(("rows", "columns"), [(300, 260), (997, 1361), (1200, 450), (2500, 2000)])
def test_a_squash_agrees_with_the_resampling_the_training_images_were_published_with(
    rows: int, columns: int
) -> None:
    picture = phantom(3, rows=rows, columns=columns)
    published = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(squash(picture, side=224) - published).mean() < 1.0


def test_an_image_that_has_the_size_already_comes_back_unchanged() -> None:
    picture = phantom(1, rows=224, columns=224)
    assert np.array_equal(squash(picture, side=224), picture.astype(np.float32))


def test_fine_stripes_become_grey_instead_of_coarse_stripes() -> None:
    stripes = np.tile(np.array([[0, 255]], np.uint8), (1000, 500))
    assert squash(stripes, side=160).std() < 4


def test_a_picture_smaller_than_the_network_wants_is_enlarged() -> None:
    small = squash(phantom(1, rows=70, columns=90), side=160)
    assert small.shape == (160, 160)
    assert np.isfinite(small).all()


def test_sixteen_bits_twelve_bits_and_eight_bits_of_the_same_radiograph_are_prepared_alike() -> None:
    eight = phantom(5, rows=400, columns=380)
    reference = prepare(eight, side=160)
    for factor in (16, 257):
        assert np.abs(prepare(eight.astype(np.uint16) * np.uint16(factor), side=160) - reference).max() < 0.02


def test_gamma_and_window_hardly_matter() -> None:
    eight = phantom(5, rows=400, columns=380)
    other = np.round(40 + 180 * (eight / 255) ** 0.6).astype(np.uint8)
    assert np.abs(prepare(other, side=160) - prepare(eight, side=160)).mean() < 0.03


def test_what_the_network_takes_is_between_minus_one_and_one_and_a_constant_image_is_zero() -> None:
    prepared = prepare(phantom(2), side=160)
    assert prepared.dtype == np.float32
    assert prepared.min() >= -1
    assert prepared.max() <= 1
    assert not standardise(np.full((160, 160), 37, np.float32)).any()


@pytest.mark.parametrize("wrong", [np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.float32)])
def test_an_array_that_is_no_grey_image_is_refused_in_words(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an image has"):
        prepare(wrong, side=160)


def test_full_size_radiographs_and_their_published_squashes_are_prepared_nearly_alike(
    shared_data: Path,
) -> None:
    with (shared_data / "kermany_originals" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::6]
    differences = []
    for row in rows:
        pair = [
            prepare(cv2.imread(str(shared_data / folder / row["path"]), cv2.IMREAD_GRAYSCALE), side=160)
            for folder in ("kermany_originals", "kermany")
        ]
        differences.append(float(np.abs(pair[0] - pair[1]).mean()))
    assert np.mean(differences) < 0.01
