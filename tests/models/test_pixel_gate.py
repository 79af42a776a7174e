"""What pixels alone rule out, with a sentence a radiologist understands; and real radiographs pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.bundle import Bundle, default_bundle_path
from models.phantom import phantom


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(default_bundle_path(), device="cpu")


def text_page() -> np.ndarray:
    page = np.full((1100, 850), 255, np.uint8)
    for line in range(30):
        where = (60, 60 + 34 * line)
        cv2.putText(
            page, "The heart is of normal size. No effusion.", where, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 0, 2
        )
    return page


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (500, 500)).astype(np.uint8)


def nearly_constant() -> np.ndarray:
    return np.random.default_rng(0).integers(2000, 2004, (600, 600)).astype(np.uint16)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: np.zeros((500, 500), np.uint8), "blank"),
        (lambda: np.full((500, 500), 65535, np.uint16), "blank"),
        (nearly_constant, "blank"),
        (lambda: phantom(1, rows=60, columns=200), "shows too little"),
        (lambda: phantom(1, rows=100, columns=450), "strip"),
        (lambda: np.zeros((1, 1), np.uint8), "shows too little"),
        (text_page, "text page"),
        (lambda: 255 - text_page(), "text page"),
        (noise, "noise"),
        (lambda: np.zeros((80, 80, 3), np.uint8), "not a grey image"),
        (lambda: np.zeros((80, 80), np.float64), "not a grey image"),
        (lambda: np.zeros((0, 0), np.uint8), "shows too little"),
    ],
)
def test_what_cannot_be_a_radiograph_is_withheld_with_a_sentence(
    bundle: Bundle, draw: Callable[[], np.ndarray], sentence: str
) -> None:
    screening = bundle.screen([draw()])[0]
    assert screening.outcome == "withheld"
    assert sentence in (screening.reason or "")
    assert (screening.reason or "").endswith(".")
    assert screening.findings == {}
    assert screening.urgency == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_chest_passes_in_any_bit_depth(bundle: Bundle, seed: int) -> None:
    eight = phantom(seed, rows=700, columns=640)
    pictures = [eight, eight.astype(np.uint16) * np.uint16(16), 255 - eight]
    assert [screening.outcome for screening in bundle.screen(pictures)] == ["screened"] * 3


def test_real_radiographs_pass(bundle: Bundle, shared_data: Path) -> None:
    paths = sorted((shared_data / "kermany_originals").rglob("*.jpeg"))[::4]
    paths += sorted((shared_data / "nih_adult").rglob("*.jpg"))[::8]
    paths += sorted((shared_data / "kermany").rglob("*.jpeg"))[::60]
    screenings = bundle.screen([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths])
    refused = [(path.name, one.reason) for path, one in zip(paths, screenings, strict=True) if one.reason]
    assert len(paths) > 150
    assert len(refused) <= 0.02 * len(paths), refused
