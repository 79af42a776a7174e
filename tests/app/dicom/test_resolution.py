"""Images that come smaller out of their codec: when, how small, and that they are the same picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from app.dicom.header import DICOM
from app.dicom.phantom import draw_phantom
from app.dicom.pixels import interpret, present
from app.dicom.resolution import Resolution
from app.dicom.write import wrap
from app.errors import DecodeFailed

from .conftest import Keep
from .test_raster_files import jpeg, with_orientation

Pixels = NDArray[np.uint16]
SMALL = Resolution(shorter=100, longer=0)


@pytest.fixture(scope="module")
def chest() -> Pixels:
    """12 bits, 602 x 503: sides that no quartering divides."""
    return draw_phantom(style="normal", seed=5, rows=602, columns=503).pixels


def shown(path: Path, media_type: str = DICOM, **sides: int) -> NDArray[np.uint8]:
    return present(path, media_type, **({"preview_side": 0, "reading_side": 100} | sides)).grey


@pytest.mark.parametrize(
    ("resolution", "size", "halvings"),
    [
        (Resolution(shorter=320, longer=0), (639, 900), 1),
        (Resolution(shorter=320, longer=0), (638, 900), 0),
        (Resolution(shorter=320, longer=0), (1300, 1280), 2),
        (Resolution(shorter=320, longer=1024), (1500, 2000), 0),
        (Resolution(shorter=320, longer=1024), (1500, 2047), 1),
        (Resolution(shorter=10, longer=0), (4000, 4000), 3),
    ],
)
def test_no_side_falls_below_what_is_needed(
    resolution: Resolution, size: tuple[int, int], halvings: int
) -> None:
    assert resolution.halvings(*size) == halvings


@pytest.mark.parametrize(
    ("syntax", "bits", "size"),
    [
        (JPEGBaseline8Bit, 8, (151, 126)),
        (JPEG2000Lossless, 12, (151, 126)),
        (JPEG2000Lossless, 16, (151, 126)),
        (JPEG2000, 8, (151, 126)),
        (ExplicitVRLittleEndian, 12, (602, 503)),
    ],
)
def test_a_codec_that_can_halves_the_image(
    syntax: str, bits: int, size: tuple[int, int], keep: Keep, chest: Pixels
) -> None:
    pixels = (chest >> 4).astype(np.uint8) if bits == 8 else chest * np.uint16(2 ** (bits - 12))
    resolution = Resolution(shorter=63, longer=0)  # wavelets leave twice as many
    path = keep(wrap(pixels, bits_stored=bits, transfer_syntax=syntax))
    whole, smaller = interpret(path, DICOM), interpret(path, DICOM, resolution=resolution)
    assert smaller.codes.shape == size
    assert (smaller.reduced_from or smaller.codes.shape) == whole.codes.shape == (602, 503)
    assert smaller.codes.dtype == whole.codes.dtype
    expected = cv2.resize(whole.codes, size[::-1], interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(smaller.codes - expected).mean() < 0.012 * 2**bits


def test_the_whole_image_is_decoded_where_somebody_needs_it(keep: Keep, chest: Pixels) -> None:
    path = keep(wrap(chest, bits_stored=12, transfer_syntax=JPEG2000Lossless))
    whole = present(path, DICOM, preview_side=0).grey
    assert whole.shape == (602, 503)
    preview = present(path, DICOM, preview_side=602, reading_side=100).preview_jpeg
    picture = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (602, 503)
    assert np.abs(picture.astype(int) - whole).mean() < 2


def test_what_is_said_of_the_size_is_that_of_the_whole_image(keep: Keep, chest: Pixels) -> None:
    path = keep(jpeg((chest >> 4).astype(np.uint8)), "a.jpg")
    made = present(path, "image/jpeg", preview_side=0, reading_side=100)
    assert (made.rows, made.columns, made.grey.shape) == (602, 503, (151, 126))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_halved_jpeg_is_turned_as_its_exif_says(orientation: int, keep: Keep, chest: Pixels) -> None:
    path = keep(with_orientation(jpeg((chest >> 4).astype(np.uint8)), orientation), "a.jpg")
    whole = interpret(path, "image/jpeg").codes
    smaller = interpret(path, "image/jpeg", resolution=Resolution(shorter=150, longer=0))
    assert smaller.reduced_from == whole.shape
    expected = cv2.resize(whole, smaller.codes.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(smaller.codes.astype(int) - expected).mean() < 2


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelPaddingValue": 0},
        {"PixelRepresentation": 1},
        {"BitsStored": 10, "HighBit": 9},
    ],
)
def test_stored_values_whose_mean_means_something_else_are_decoded_whole(
    tags: dict[str, int], keep: Keep, chest: Pixels
) -> None:
    path = keep(wrap(chest, bits_stored=12, transfer_syntax=JPEG2000Lossless, tags=tags))
    assert interpret(path, DICOM, resolution=SMALL).codes.shape == (602, 503)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_jpeg_cut_off_is_refused_when_halved_too(share: float, keep: Keep, chest: Pixels) -> None:
    whole = jpeg((chest >> 4).astype(np.uint8))
    with pytest.raises(DecodeFailed, match="cut off"):
        shown(keep(whole[: int(len(whole) * share)], "a.jpg"), "image/jpeg")


def test_sides_that_pillow_would_round_otherwise_are_halved_less_often(keep: Keep, chest: Pixels) -> None:
    path = keep(wrap(chest[:, :501], bits_stored=12, transfer_syntax=JPEG2000Lossless))
    assert interpret(path, DICOM, resolution=Resolution(shorter=63, longer=0)).codes.shape == (301, 251)


def test_a_codestream_without_so_many_resolutions_is_decoded_whole(keep: Keep, chest: Pixels) -> None:
    import imagecodecs  # noqa: PLC0415 - writes what the program's own encoder never does
    from pydicom import dcmread  # noqa: PLC0415
    from pydicom.encaps import encapsulate  # noqa: PLC0415

    path = keep(wrap(chest, bits_stored=12, transfer_syntax=JPEG2000Lossless))
    dataset = dcmread(path)
    one = imagecodecs.jpeg2k_encode(
        chest, codecformat="j2k", bitspersample=12, level=0, reversible=True, resolutions=1
    )
    dataset.PixelData = encapsulate([one])
    dataset.save_as(path)
    made = interpret(path, DICOM, resolution=SMALL)
    np.testing.assert_array_equal(made.codes, chest)
    assert made.reduced_from is None
