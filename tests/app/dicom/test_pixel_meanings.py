"""What stored pixels mean before any window: spare bits, signs, padding, colours and frames."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from app.dicom.header import DICOM
from app.dicom.pixels import present, read_values
from app.dicom.write import wrap
from app.errors import DecodeFailed

from .conftest import Keep
from .test_look_up_tables import Ramp, shown


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
