"""PNG and JPEG files: headers, depths, orientation, colour, damage."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.dicom.header import read_header
from app.dicom.interpret import interpret_raster
from app.dicom.pixels import present, read_values
from app.errors import DecodeFailed, TooLarge, Unreadable

from .conftest import Keep

Ramp = NDArray[np.uint16]


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def with_orientation(file: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that asks for a turn."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return file[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + file[2:]


def test_a_png_of_8_bits_is_shown_as_it_is(keep: Keep, ramp: Ramp) -> None:
    grey = (ramp >> 4).astype(np.uint8)
    path = keep(png(grey), "a.png")
    header = read_header(path)
    assert (header.media_type, header.rows, header.columns, header.bits_stored) == ("image/png", 96, 80, 8)
    assert header.attributes == {}
    np.testing.assert_array_equal(present(path, "image/png", preview_side=64).grey, grey)


@pytest.mark.parametrize(("top", "shift"), [(4000, 4), (65_000, 8), (900, 2)])
def test_a_png_of_16_bits_is_shown_over_the_bits_it_uses(top: int, shift: int, keep: Keep) -> None:
    pixels = np.linspace(0, top, 64 * 64).reshape(64, 64).astype(np.uint16)
    shown = present(keep(png(pixels), "a.png"), "image/png", preview_side=64).grey
    full = 255 * 2**shift + 2**shift - 1
    np.testing.assert_array_equal(shown, np.rint(pixels / full * 255).astype(np.uint8))


def test_the_values_of_a_16_bit_png_are_kept_whole(keep: Keep, ramp: Ramp) -> None:
    values = read_values(keep(png(ramp), "a.png"), "image/png")
    np.testing.assert_array_equal(np.frombuffer(values.data, "<u2").reshape(96, 80), ramp)
    assert (values.slope, values.intercept, values.maximum) == (1.0, 0.0, int(ramp.max()))


def test_a_colour_picture_becomes_its_brightness(keep: Keep) -> None:
    colour = np.zeros((40, 40, 3), np.uint8)
    colour[:20, :, 2] = 200  # OpenCV writes BGR: this is red
    shown = present(keep(png(colour), "a.png"), "image/png", preview_side=64).grey
    assert shown[5, 5] == round(0.299 * 200)
    assert shown[30, 5] == 0


def test_transparency_becomes_black(keep: Keep) -> None:
    picture = np.full((40, 40, 4), 180, np.uint8)
    picture[:, :, 3] = 255
    picture[:10, :, 3] = 0
    shown = present(keep(png(picture), "a.png"), "image/png", preview_side=64).grey
    assert (shown[5, 5], shown[30, 5]) == (0, 180)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_obeyed(orientation: int, keep: Keep) -> None:
    picture = np.zeros((48, 80), np.uint8)
    picture[:24, :40] = 250  # bright at the stored top left
    path = keep(with_orientation(jpeg(picture), orientation), "a.jpg")
    shown = present(path, "image/jpeg", preview_side=64).grey
    expected = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.T,
        6: picture[::-1].T,
        7: picture[::-1, ::-1].T,
        8: picture[:, ::-1].T,
    }[orientation]
    header = read_header(path)
    assert (header.rows, header.columns) == shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 3


def test_a_picture_of_absurd_dimensions_is_refused_by_its_header(keep: Keep) -> None:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(TooLarge, match="100000 x 100000"):
        read_header(keep(bomb, "a.png"))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_jpeg_cut_off_is_refused_rather_than_shown_in_part(share: float, keep: Keep, ramp: Ramp) -> None:
    whole = jpeg(np.repeat(np.repeat((ramp >> 4).astype(np.uint8), 4, 0), 4, 1))
    with pytest.raises(DecodeFailed, match="cut off"):
        interpret_raster(keep(whole[: int(len(whole) * share)], "a.jpg"))


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_png_cut_off_is_refused_rather_than_shown_in_part(share: float, keep: Keep, ramp: Ramp) -> None:
    whole = png(ramp)
    with pytest.raises(DecodeFailed, match="cut off"):
        interpret_raster(keep(whole[: int(len(whole) * share)], "a.png"))


@pytest.mark.parametrize(
    "file", [b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff\xe0\0\x10JFIF"]
)
def test_a_picture_damaged_in_its_header_is_unreadable(file: bytes, keep: Keep) -> None:
    with pytest.raises(Unreadable):
        read_header(keep(file, "a"))
