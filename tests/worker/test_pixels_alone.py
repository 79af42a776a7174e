"""What the gate makes of real pictures by their pixels, whatever their headers say: nothing here was tuned on
these files.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from models.bundle import Bundle, ImageScreening
from models.pixel_gate import INVERTED_NOTICE


@pytest.fixture(scope="module")
def chests(shared_data: Path) -> list[NDArray[np.uint8]]:
    """Full-size radiographs of children who are in no training."""
    paths = sorted((shared_data / "kermany_originals").rglob("*.jpeg"))[::3]
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) for path in paths]


def by_pixels(bundle: Bundle, pool: DecoderPool, path: Path) -> ImageScreening:
    header = read_header(path)
    shown = pool.presentation(path, header.media_type, preview_side=0).result()
    return bundle.screen([shown.grey])[0]


def test_a_polarity_that_only_the_tag_changed_is_caught(
    bundle: Bundle, pool: DecoderPool, shared_data: Path
) -> None:
    folder = shared_data / "dicom" / "chest"
    trap = by_pixels(bundle, pool, folder / "siim_rsna_retagged_MONOCHROME1.dcm")
    assert INVERTED_NOTICE in trap.notices
    truthful = by_pixels(bundle, pool, folder / "siim_rsna_no_pneumothorax.dcm")
    assert truthful.notices == ()
    assert trap.urgency == pytest.approx(truthful.urgency, abs=0.1)


def test_real_chests_are_known_as_chests(bundle: Bundle, pool: DecoderPool, shared_data: Path) -> None:
    paths = sorted((shared_data / "dicom" / "chest").glob("*.dcm"))
    assert len(paths) == 4
    assert [by_pixels(bundle, pool, path).reason for path in paths] == [None] * 4


def test_other_parts_of_the_body_are_withheld_without_their_headers(
    bundle: Bundle, pool: DecoderPool, shared_data: Path
) -> None:
    paths = sorted((shared_data / "dicom" / "not_chest").glob("*.dcm"))
    assert len(paths) == 8
    assert [path.name for path in paths if by_pixels(bundle, pool, path).outcome != "withheld"] == []


def test_children_lie_right_and_are_found_when_they_do_not(
    bundle: Bundle, chests: list[NDArray[np.uint8]]
) -> None:
    turned = [np.ascontiguousarray(np.rot90(image, 1 + at % 3)) for at, image in enumerate(chests)]
    inverted = [255 - image for image in chests]
    assert sum(one.outcome == "withheld" for one in bundle.screen(chests)) <= 1
    assert sum(one.outcome == "withheld" for one in bundle.screen(turned)) >= 0.95 * len(chests)
    assert sum(INVERTED_NOTICE in one.notices for one in bundle.screen(inverted)) >= 0.95 * len(chests)
