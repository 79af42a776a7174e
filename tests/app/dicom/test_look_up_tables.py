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
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from app.dicom.header import DICOM
from app.dicom.interpret import NO_WINDOW
from app.dicom.pixels import EMPTY_WINDOW, present, read_values
from app.dicom.windowing import Window
from app.dicom.write import wrap
from app.errors import DecodeFailed

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


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless, JPEGLosslessSV1])
def test_foreign_bits_above_the_stored_ones_change_nothing(syntax: str, keep: Keep, ramp: Ramp) -> None:
    dirty = ramp | (np.random.default_rng(3).integers(0, 16, ramp.shape).astype(np.uint16) << 12)
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    file = wrap(
        dirty, bits_stored=16, transfer_syntax=syntax, tags=window | {"BitsStored": 12, "HighBit": 11}
    )
    np.testing.assert_array_equal(shown(keep(file)), shown(keep(wrap(ramp, bits_stored=12, tags=window))))


def test_samples_kept_in_the_high_bits_are_read(keep: Keep, ramp: Ramp) -> None:
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    file = wrap(ramp << 4 | 9, tags=window | {"BitsStored": 12, "HighBit": 15})
    np.testing.assert_array_equal(shown(keep(file)), shown(keep(wrap(ramp, bits_stored=12, tags=window))))


def test_signed_values_keep_their_meaning_at_full_depth(keep: Keep, ramp: Ramp) -> None:
    pixels = ramp.astype(np.int16) - 2048
    values = read_values(
        keep(wrap(pixels, bits_stored=12, tags={"RescaleSlope": "2", "RescaleIntercept": "-10"})), DICOM
    )
    data = np.frombuffer(values.data, "<u2").reshape(ramp.shape)
    np.testing.assert_allclose(data * values.slope + values.intercept, pixels * 2.0 - 10)
    assert (values.minimum, values.maximum) == (data.min(), data.max())


def test_32_bits_are_scaled_to_16_without_losing_their_values(keep: Keep, ramp: Ramp) -> None:
    pixels = ramp.astype(np.uint32) * 70_000
    values = read_values(keep(wrap(pixels)), DICOM)
    data = np.frombuffer(values.data, "<u2").reshape(ramp.shape)
    np.testing.assert_allclose(data * values.slope + values.intercept, pixels, atol=pixels.max() / 65_535)


def test_float_pixel_data_are_shown(keep: Keep) -> None:
    values = np.linspace(-3, 9, 64 * 64, dtype="<f4").reshape(64, 64)
    tags = {"PixelData": None, "FloatPixelData": values.tobytes(), "BitsAllocated": 32}
    made = read_values(keep(wrap(np.zeros((64, 64), np.uint16), tags=tags)), DICOM)
    data = np.frombuffer(made.data, "<u2").reshape(64, 64)
    np.testing.assert_allclose(data * made.slope + made.intercept, values, atol=12 / 65_535)


def test_padding_is_black_and_leaves_the_window_alone(keep: Keep) -> None:
    pixels = np.random.default_rng(1).integers(1500, 2500, (100, 100)).astype(np.uint16)
    padded = pixels.copy()
    padded[:40] = 4095
    plain = shown(keep(wrap(pixels[40:], bits_stored=12)))
    made = shown(keep(wrap(padded, bits_stored=12, tags={"PixelPaddingValue": 4095})))
    assert made[:40].max() == 0
    assert np.abs(made[40:].astype(int) - plain).max() <= 3
    values = read_values(keep(wrap(padded, bits_stored=12, tags={"PixelPaddingValue": 4095})), DICOM)
    assert (values.padding, values.maximum) == ((4095, 4095), int(pixels.max()))


def test_a_range_of_padding_is_black_in_monochrome1_too(keep: Keep, ramp: Ramp) -> None:
    tags = {
        "PixelPaddingValue": 0,
        "PixelPaddingRangeLimit": 300,
        "WindowCenter": "2048",
        "WindowWidth": "4096",
    }
    made = shown(keep(wrap(ramp, bits_stored=12, photometric="MONOCHROME1", tags=tags)))
    assert made[ramp <= 300].max() == 0
    assert made[(ramp > 300) & (ramp < 500)].min() > 200


def test_padding_of_signed_pixels_is_read_in_either_sign(keep: Keep, ramp: Ramp) -> None:
    pixels = ramp.astype(np.int16) - 2048
    pixels[:10] = -2000
    dataset = {"WindowCenter": "0", "WindowWidth": "4096"}
    made = shown(keep(wrap(pixels, tags=dataset | {"PixelPaddingValue": -2000})))
    assert made[:10].max() == 0


def test_monochrome1_is_the_negative_of_monochrome2(keep: Keep, ramp: Ramp) -> None:
    tags = {"WindowCenter": "2048", "WindowWidth": "4096"}
    positive = shown(keep(wrap(ramp, bits_stored=12, tags=tags)))
    negative = shown(keep(wrap(ramp, bits_stored=12, photometric="MONOCHROME1", tags=tags)))
    np.testing.assert_array_equal(negative, 255 - positive)
    assert (
        read_values(keep(wrap(ramp, bits_stored=12, photometric="MONOCHROME1")), DICOM).photometric
        == "MONOCHROME1"
    )


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_becomes_its_brightness(planar: int, keep: Keep) -> None:
    colour = np.random.default_rng(2).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    expected = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    stored = np.ascontiguousarray(np.moveaxis(colour, -1, 0)).reshape(20, 30, 3) if planar else colour
    path = keep(wrap(stored, tags={"PlanarConfiguration": planar}))
    np.testing.assert_array_equal(shown(path), expected)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLELossless])
def test_ybr_full_becomes_its_brightness(syntax: str, keep: Keep) -> None:
    colour = np.full((20, 30, 3), 128, np.uint8)
    colour[:, :, 0] = np.linspace(20, 235, 600).reshape(20, 30)
    path = keep(wrap(colour, photometric="YBR_FULL", transfer_syntax=syntax))
    np.testing.assert_allclose(shown(path), colour[:, :, 0], atol=1)


def test_a_colour_jpeg_becomes_its_brightness(keep: Keep) -> None:
    colour = np.zeros((32, 32, 3), np.uint8)
    colour[:, :16] = (200, 30, 60)
    colour[:, 16:] = (20, 180, 90)
    made = shown(keep(wrap(colour, transfer_syntax=JPEGBaseline8Bit)))
    assert made[8, 4] == pytest.approx(0.299 * 200 + 0.587 * 30 + 0.114 * 60, abs=3)
    assert made[8, 28] == pytest.approx(0.299 * 20 + 0.587 * 180 + 0.114 * 90, abs=3)


def test_uncompressed_ybr_422_keeps_its_brightness(keep: Keep) -> None:
    brightness = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    quads = np.full((20, 15, 4), 128, np.uint8)
    quads[:, :, :2] = brightness.reshape(20, 15, 2)
    tags = {"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3, "PixelData": quads.tobytes()}
    np.testing.assert_array_equal(
        shown(keep(wrap(brightness, tags=tags | {"PlanarConfiguration": 0}))), brightness
    )


def test_a_palette_becomes_its_brightness(keep: Keep) -> None:
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    ramps = {"Red": np.arange(256), "Green": 255 - np.arange(256), "Blue": np.full(256, 40)}
    for colour, values in ramps.items():
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = (values * 257).astype("<u2").tobytes()
    expected = 0.299 * ramps["Red"] + 0.587 * ramps["Green"] + 0.114 * ramps["Blue"]
    made = shown(keep(wrap(index, tags=tags)))
    np.testing.assert_allclose(made.reshape(-1), expected, atol=0.51)


def test_several_frames_are_refused_with_their_number(keep: Keep, ramp: Ramp) -> None:
    frames = np.concatenate([ramp, ramp])
    path = keep(wrap(frames, tags={"Rows": 96, "NumberOfFrames": 2}))
    with pytest.raises(DecodeFailed, match="2 frames"):
        present(path, DICOM, preview_side=64)


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
