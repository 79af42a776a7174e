"""What decoding at a lower resolution does to the answers of the network, on real radiographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

from app.dicom.header import DICOM
from app.dicom.pixels import apply_table, interpret, present, reduce
from app.dicom.windowing import apply_window
from app.dicom.write import wrap
from models.bundle import Bundle, default_bundle_path

MEAN, MOST = 0.002, 0.05
"""How far a probability may move, on average and at most; said in docs/decoding.md."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(default_bundle_path(), device="cpu")


def as_jpeg(picture: Path, folder: Path) -> tuple[Path, str]:
    return picture, "image/jpeg"


def as_jpeg_2000(picture: Path, folder: Path) -> tuple[Path, str]:
    pixels = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    path = folder / f"{picture.stem}.dcm"
    path.write_bytes(wrap(pixels, transfer_syntax=JPEG2000Lossless))
    return path, DICOM


@pytest.mark.parametrize(("form", "step", "least"), [(as_jpeg, 1, 30), (as_jpeg_2000, 3, 5)])
def test_answers_stay_where_they_were_when_the_codec_halves(
    form: Callable[[Path, Path], tuple[Path, str]],
    step: int,
    least: int,
    shared_data: Path,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    side = bundle.reading_side
    moved, halved = [], 0
    for picture in sorted((shared_data / "kermany_originals").rglob("*.jpeg"))[::step]:
        path, media_type = form(picture, tmp_path)
        whole = interpret(path, media_type)
        shown = reduce(apply_table(whole, apply_window(whole.values, whole.windows[0])), side)
        codec = present(path, media_type, preview_side=0, reading_side=side).grey
        halved += not np.array_equal(codec, shown)
        before, after = bundle.screen([shown, codec])
        assert before.outcome == after.outcome
        moved += [
            abs(before.findings[name].probability - after.findings[name].probability)
            for name in before.findings
        ]
    assert halved > least
    assert np.mean(moved) < MEAN
    assert max(moved) < MOST
