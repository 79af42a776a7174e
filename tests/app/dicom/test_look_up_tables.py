"""From stored samples to brightness: modality and VOI look-ups, sign, foreign bits, padding, polarity,
colour.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from app.dicom.header import DICOM
from app.dicom.interpret import NO_WINDOW
from app.dicom.pixels import EMPTY_WINDOW, present, read_values
from app.dicom.windowing import Window
from app.dicom.write import wrap

from .conftest import Keep
from .test_windowing import REFERENCES

Ramp = NDArray[np.uint16]


def shown(path: Path) -> NDArray[np.uint8]:
    return present(path, DICOM, preview_side=64).grey


def lut(first: int, entries: list[int], bits: int, *, signed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    return item


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    center=st.integers(-1500, 6000),
    width=st.integers(300, 8000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.sampled_from([1.0, 0.5, 2.25]),
    intercept=st.sampled_from([0.0, -1024.0]),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_presentation_is_what_the_standard_says_pixel_by_pixel(
    center: int, width: int, function: str, slope: float, intercept: float, photometric: str, keep: Keep
) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    tags = {
        "WindowCenter": str(center),
        "WindowWidth": str(width),
        "VOILUTFunction": function,
        "RescaleSlope": str(slope),
        "RescaleIntercept": str(intercept),
    }
    made = present(
        keep(wrap(pixels, bits_stored=12, photometric=photometric, tags=tags)), DICOM, preview_side=64
    )
    expected = (
        np.array([REFERENCES[function](p * slope + intercept, center, width) for p in range(4096)]) * 255
    )
    if EMPTY_WINDOW in made.notices:
        assert len(np.unique(np.rint(expected))) < 6
        return
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(made.grey.reshape(-1) - expected).max() <= 0.5 + 1e-6


def test_the_first_of_several_windows_is_shown_and_all_are_told(keep: Keep, ramp: Ramp) -> None:
    tags = {
        "WindowCenter": ["1000", "3000"],
        "WindowWidth": ["500", "800"],
        "WindowCenterWidthExplanation": ["LUNG", "BONE"],
    }
    path = keep(wrap(ramp, bits_stored=12, tags=tags))
    assert read_values(path, DICOM).windows == (Window(1000, 500, "LUNG"), Window(3000, 800, "BONE"))
    pixel = int(np.argmin(np.abs(ramp.reshape(-1).astype(int) - 1000)))
    assert shown(path).reshape(-1)[pixel] == pytest.approx(128, abs=1)


def test_a_window_that_shows_nothing_is_replaced_with_a_notice(keep: Keep, ramp: Ramp) -> None:
    made = present(
        keep(wrap(ramp, bits_stored=12, tags={"WindowCenter": "40000", "WindowWidth": "10"})),
        DICOM,
        preview_side=64,
    )
    assert made.notices == (EMPTY_WINDOW,)
    assert made.grey.std() > 50


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("by_table", [False, True])
def test_at_full_depth_a_window_or_table_that_shows_nothing_comes_after_the_one_that_was_chosen(
    by_table: bool, photometric: str, keep: Keep, ramp: Ramp
) -> None:
    tags: dict[str, Any] = {"WindowCenter": "40000", "WindowWidth": "10"}
    if by_table:
        tags["VOILUTSequence"] = [lut(0, [9] * 4096, 12)]
    path = keep(wrap(ramp, bits_stored=12, photometric=photometric, tags=tags))
    values = read_values(path, DICOM)
    chosen, *own = values.windows
    assert values.voi_lut is None
    assert (chosen.explanation, own) == ("default", [Window(40000, 10)])
    samples = np.frombuffer(values.data, "<u2") * values.slope + values.intercept
    brightness = np.clip((samples - chosen.center) / chosen.width + 0.5, 0, 1)
    grey = 255 * (1 - brightness if photometric == "MONOCHROME1" else brightness)
    assert np.abs(grey - present(path, DICOM, preview_side=64).grey.reshape(-1)).max() <= 0.5 + 1e-6
    assert grey.std() > 50


def test_at_full_depth_a_table_that_shows_the_image_stays_before_the_windows(keep: Keep, ramp: Ramp) -> None:
    tags = {
        "WindowCenter": "40000",
        "WindowWidth": "10",
        "VOILUTSequence": [lut(0, list(range(4096)), 12)],
    }
    values = read_values(keep(wrap(ramp, bits_stored=12, tags=tags)), DICOM)
    assert values.voi_lut is not None
    assert values.windows == (Window(40000, 10),)


@pytest.mark.parametrize("width", ["0", "-5", "nan", "1e999"])
def test_a_window_of_impossible_width_is_passed_over(width: str, keep: Keep, ramp: Ramp) -> None:
    made = present(
        keep(
            wrap(ramp, bits_stored=12, tags={"WindowCenter": "2000", "WindowWidth": "7"}).replace(
                b"7 ", b"7 "
            )
        ),
        DICOM,
        preview_side=64,
    )
    assert made.grey.shape == ramp.shape
    file = wrap(ramp, bits_stored=12, tags={"WindowCenter": "2000", "WindowWidth": "123456"})
    made = present(keep(file.replace(b"123456", width.encode().ljust(6))), DICOM, preview_side=64)
    assert made.notices == (NO_WINDOW,)


def test_without_a_window_the_middle_of_the_grey_levels_is_shown(keep: Keep) -> None:
    pixels = np.random.default_rng(1).integers(1500, 2500, (100, 100)).astype(np.uint16)
    pixels[:2, :2] = 4095
    made = present(keep(wrap(pixels, bits_stored=12)), DICOM, preview_side=64)
    assert made.notices == (NO_WINDOW,)
    assert np.percentile(made.grey, 50) == pytest.approx(127, abs=4)
    assert (made.grey.min(), made.grey.max()) == (0, 255)


def test_8_bits_without_a_window_are_shown_as_stored(keep: Keep) -> None:
    pixels = np.random.default_rng(1).integers(90, 120, (100, 100)).astype(np.uint8)
    made = present(keep(wrap(pixels)), DICOM, preview_side=64)
    np.testing.assert_array_equal(made.grey, pixels)
    assert made.notices == ()


def test_a_modality_lut_sequence_is_applied_as_pydicom_applies_it(keep: Keep, ramp: Ramp) -> None:
    entries = [int(3000 * (i / 4095) ** 2) for i in range(4096)]
    item = lut(0, entries, 16)
    item.ModalityLUTType = "US"
    tags = {
        "ModalityLUTSequence": [item],
        "RescaleSlope": None,
        "RescaleIntercept": None,
        "RescaleType": None,
    }
    path = keep(wrap(ramp, bits_stored=12, tags=tags))
    values = read_values(path, DICOM)
    ours = np.frombuffer(values.data, "<u2").reshape(ramp.shape) * values.slope + values.intercept
    np.testing.assert_array_equal(ours, apply_modality_lut(ramp, pydicom.dcmread(path)))


def test_a_modality_lut_makes_no_padding_of_the_picture(keep: Keep, ramp: Ramp) -> None:
    item = lut(100, list(range(3996)), 12)  # what is 100 or less is 0, as padding is
    item.ModalityLUTType = "US"
    tags = {
        "ModalityLUTSequence": [item],
        "RescaleSlope": None,
        "RescaleIntercept": None,
        "RescaleType": None,
        "PixelPaddingValue": 0,
        "WindowCenter": "2048",
        "WindowWidth": "4096",
    }
    path = keep(wrap(ramp, bits_stored=12, photometric="MONOCHROME1", tags=tags))
    values = read_values(path, DICOM)
    data = np.frombuffer(values.data, "<u2").reshape(ramp.shape)
    assert values.padding is not None
    is_padding = (data >= values.padding[0]) & (data <= values.padding[1])
    np.testing.assert_array_equal(is_padding, ramp == 0)
    np.testing.assert_array_equal(data[ramp > 0], np.maximum(ramp[ramp > 0], 100) - 100)
    assert shown(path)[~is_padding & (data < 50)].min() > 250, "the preview has it white"


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_a_voi_lut_sequence_is_applied_as_pydicom_applies_it(
    signed: bool, syntax: str | None, keep: Keep, ramp: Ramp
) -> None:
    entries = [(i * i) // 1024 for i in range(2048)]
    pixels: NDArray[Any] = ramp.astype(np.int16) - 2048 if signed else ramp
    item = lut(-300 if signed else 700, entries, 12, signed=signed)
    if syntax == ExplicitVRBigEndian:
        item["LUTData"].value = np.array(entries, ">u2").tobytes()
    file = wrap(
        pixels,
        bits_stored=12,
        tags={"VOILUTSequence": [item]},
        **({"transfer_syntax": syntax} if syntax else {}),
    )
    path = keep(file)
    reference = np.array(entries)[np.clip(pixels.astype(int) - (-300 if signed else 700), 0, 2047)]
    np.testing.assert_array_equal(shown(path), np.rint(reference / 4095 * 255).astype(np.uint8))
    if syntax is None:
        theirs = apply_voi_lut(pixels, pydicom.dcmread(path))
        np.testing.assert_array_equal(shown(path), np.rint(theirs / 4095 * 255).astype(np.uint8))


def test_an_8_bit_voi_lut_in_bytes_is_read(keep: Keep) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(255 - i for i in range(256)))
    np.testing.assert_array_equal(shown(keep(wrap(pixels, tags={"VOILUTSequence": [item]}))), 255 - pixels)


def test_a_broken_voi_lut_is_passed_over_for_the_window(keep: Keep, ramp: Ramp) -> None:
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    with_broken = keep(wrap(ramp, bits_stored=12, tags=window | {"VOILUTSequence": [lut(0, [1, 2], 12)[:]]}))
    dataset = pydicom.dcmread(with_broken)
    dataset.VOILUTSequence[0].LUTDescriptor = [4096, 0, 12]
    dataset.save_as(with_broken)
    np.testing.assert_array_equal(shown(with_broken), shown(keep(wrap(ramp, bits_stored=12, tags=window))))


@pytest.mark.parametrize(
    ("tags", "options"),
    [
        ({"WindowCenter": "2048", "WindowWidth": "4096"}, ["+Wi", "1"]),
        (
            {"WindowCenter": "1500", "WindowWidth": "900", "RescaleIntercept": "-500", "RescaleSlope": "1"},
            ["+Wi", "1"],
        ),
        ({"WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"}, ["+Wi", "1", "+Wfs"]),
        ({"VOILUTSequence": [lut(700, [(i * i) // 1024 for i in range(2048)], 12)]}, ["+Wl", "1"]),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dcmtk_shows_the_same_picture(
    photometric: str,
    tags: dict[str, Any],
    options: list[str],
    keep: Keep,
    dcmtk: Callable[..., None],
    tmp_path: Path,
) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    path = keep(
        wrap(pixels, bits_stored=12, photometric=photometric, tags=tags | {"PresentationLUTShape": None})
    )
    picture = tmp_path / "picture.pgm"
    dcmtk("dcm2pnm", *options, "--write-raw-pnm", path, picture)
    theirs = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    # DCMTK truncates where this program rounds.
    assert np.abs(shown(path).astype(int) - theirs).max() <= 1
