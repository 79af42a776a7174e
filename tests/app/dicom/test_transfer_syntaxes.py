"""Stored samples in every transfer syntax, against the decoders of other people: gdcm, DCMTK, OpenJPEG,
CharLS, pydicom.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import jpeg_ls
import numpy as np
import openjpeg
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from app.dicom.encode import NEAR_LOSSLESS_ERROR
from app.dicom.interpret import native_frame
from app.dicom.part10 import open_dicom
from app.dicom.stored import read_stored
from app.dicom.write import wrap
from app.errors import DecodeFailed

from .conftest import Keep

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LOSSLESS = (
    *(*NATIVE, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless),
    *(JPEG2000Lossless, HTJ2KLossless),
)
GDCM_DECODES = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000)
Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]


def decode(path: Path, dtype: str = "<u2") -> NDArray[np.int64]:
    """The stored values, as decoded by this program."""
    with open_dicom(path) as opened:
        rows, columns = opened.dataset.Rows, opened.dataset.Columns
    return np.frombuffer(native_frame(path, 1), dtype).reshape(rows, columns).astype(np.int64)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_12_bits_come_back_unchanged(syntax: str, keep: Keep, ramp: Pixels) -> None:
    np.testing.assert_array_equal(decode(keep(wrap(ramp, bits_stored=12, transfer_syntax=syntax))), ramp)


@pytest.mark.parametrize(
    "syntax", [*NATIVE, RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless]
)
def test_16_bits_come_back_unchanged(syntax: str, keep: Keep, ramp: Pixels) -> None:
    pixels = (ramp.astype(np.uint32) * 16 + 13).astype(np.uint16)
    np.testing.assert_array_equal(decode(keep(wrap(pixels, transfer_syntax=syntax))), pixels)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_8_bits_come_back_unchanged(syntax: str, keep: Keep, ramp: Pixels) -> None:
    pixels = (ramp >> 4).astype(np.uint8)
    np.testing.assert_array_equal(decode(keep(wrap(pixels, transfer_syntax=syntax)), "u1"), pixels)


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_signed_values_come_back_unchanged(syntax: str, keep: Keep, ramp: Pixels) -> None:
    pixels = ramp.astype(np.int16) - 2048
    path = keep(wrap(pixels, bits_stored=12, transfer_syntax=syntax))
    np.testing.assert_array_equal(decode(path, "<i2"), pixels)


def test_an_odd_number_of_bytes_is_padded_and_read(keep: Keep) -> None:
    pixels = np.arange(15 * 7, dtype=np.uint8).reshape(15, 7)
    for syntax in (ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless):
        np.testing.assert_array_equal(decode(keep(wrap(pixels, transfer_syntax=syntax)), "u1"), pixels)


@pytest.mark.parametrize("syntax", GDCM_DECODES)
def test_gdcm_reads_the_same_values(syntax: str, keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap(ramp, bits_stored=12, transfer_syntax=syntax))
    theirs, _ = get_decoder(syntax).as_array(pydicom.dcmread(path), decoding_plugin="gdcm")
    # Near-lossless samples overshoot 12 bits, which gdcm leaves as they are.
    np.testing.assert_array_equal(decode(path), np.minimum(theirs, 4095))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless])
def test_pydicom_itself_reads_the_same_values(syntax: str, keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap(ramp, bits_stored=12, transfer_syntax=syntax))
    np.testing.assert_array_equal(decode(path), pydicom.dcmread(path).pixel_array)


@pytest.mark.parametrize("syntax", [JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless])
def test_openjpeg_reads_the_same_values(syntax: str, keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap(ramp, bits_stored=12, transfer_syntax=syntax))
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    np.testing.assert_array_equal(decode(path), openjpeg.decode(frame))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLSNearLossless])
def test_charls_reads_the_same_values(syntax: str, keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap(ramp, bits_stored=12, transfer_syntax=syntax))
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    theirs = jpeg_ls.decode(np.frombuffer(frame, np.uint8))
    np.testing.assert_array_equal(decode(path), np.minimum(theirs, 4095))


def test_overshoot_of_a_lossy_codec_is_clipped_and_does_not_turn_white_to_black(keep: Keep) -> None:
    white = np.full((64, 64), 4095, np.uint16)
    white[20:40, 20:40] = np.random.default_rng(1).integers(4000, 4096, (20, 20))
    for syntax in (JPEGLSNearLossless, JPEG2000, JPEGExtended12Bit):
        decoded = decode(keep(wrap(white, bits_stored=12, transfer_syntax=syntax)))
        assert decoded.min() > 3800
    signed = white.astype(np.int16) - 2048
    decoded = decode(keep(wrap(signed, bits_stored=12, transfer_syntax=JPEG2000)), "<i2")
    assert decoded.min() > 1752


def test_near_lossless_stays_within_its_bound(keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap(ramp, bits_stored=12, transfer_syntax=JPEGLSNearLossless))
    assert np.abs(decode(path) - ramp).max() == NEAR_LOSSLESS_ERROR


def test_opencv_reads_the_same_baseline_jpeg(keep: Keep, ramp: Pixels) -> None:
    path = keep(wrap((ramp >> 4).astype(np.uint8), transfer_syntax=JPEGBaseline8Bit))
    frame = next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    theirs = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(decode(path, "u1"), theirs, atol=1)


@pytest.mark.parametrize(
    ("syntax", "program"),
    [
        (JPEGBaseline8Bit, "dcmdjpeg"),
        (JPEGExtended12Bit, "dcmdjpeg"),
        (JPEGLossless, "dcmdjpeg"),
        (JPEGLosslessSV1, "dcmdjpeg"),
        (JPEGLSLossless, "dcmdjpls"),
        (JPEGLSNearLossless, "dcmdjpls"),
        (RLELossless, "dcmdrle"),
        (ExplicitVRBigEndian, "dcmconv"),
        (DeflatedExplicitVRLittleEndian, "dcmconv"),
    ],
)
def test_dcmtk_reads_the_same_values(
    syntax: str, program: str, keep: Keep, ramp: Pixels, dcmtk: Callable[..., None], tmp_path: Path
) -> None:
    eight = syntax == JPEGBaseline8Bit
    # DCMTK turns the overshoot of white to black; below it there is nothing to differ about.
    pixels = (ramp >> 4).astype(np.uint8) if eight else np.minimum(ramp, 4000)
    path = keep(wrap(pixels, bits_stored=8 if eight else 12, transfer_syntax=syntax))
    plain = tmp_path / "plain.dcm"
    dcmtk(program, *(["+te"] if program == "dcmconv" else []), path, plain)
    theirs = pydicom.dcmread(plain).pixel_array
    # Two inverse cosine transforms may differ by rounding.
    tolerance = 1 if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) else 0
    np.testing.assert_allclose(decode(path, "u1" if eight else "<u2"), theirs, atol=tolerance)


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("dcmcjpeg", ["+e1"]),
        ("dcmcjpeg", ["+el", "+sv", "6"]),
        ("dcmcjpls", []),
        ("dcmcrle", []),
        ("dcmconv", ["+tb"]),
    ],
)
def test_what_dcmtk_wrote_is_read(
    program: str, options: list[str], keep: Keep, ramp: Pixels, dcmtk: Callable[..., None], tmp_path: Path
) -> None:
    path = keep(wrap(ramp, bits_stored=12))
    written = tmp_path / "written.dcm"
    dcmtk(program, *options, path, written)
    np.testing.assert_array_equal(decode(written), ramp)


def test_real_files_read_as_gdcm_reads_them(shared_data: Path) -> None:
    compared = 0
    for path in sorted((shared_data / "dicom").glob("*chest/*.dcm")):
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            continue
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        if "gdcm" not in decoder.available_plugins or path.stem.endswith("JPLY"):
            continue  # gdcm refuses 12-bit JPEG Extended
        theirs, _ = decoder.as_array(dataset, decoding_plugin="gdcm")
        tolerance = 1 if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit else 0
        ours = decode(path, "u1" if dataset.BitsAllocated == 8 else "<u2")
        np.testing.assert_allclose(ours, theirs, atol=tolerance, err_msg=path.name)
        compared += 1
    assert compared >= 9


def test_12_bit_jpeg_extended_of_a_real_file_is_its_lossless_twin_but_for_the_loss(shared_data: Path) -> None:
    lossy = decode(shared_data / "dicom/not_chest/CR_RG3_JPLY.dcm")
    lossless = decode(shared_data / "dicom/not_chest/CR_RG3_JLSL.dcm")
    assert np.abs(lossy - lossless).mean() < 3
    assert lossy.max() <= 1023


@pytest.mark.parametrize(
    "syntax", [*NATIVE[:3], RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless]
)
@pytest.mark.parametrize("kept", [0.55, 0.98])
def test_pixels_cut_off_fail_with_a_sentence_in_every_transfer_syntax(
    syntax: str, kept: float, keep: Keep, ramp: Pixels
) -> None:
    pixels = np.repeat(np.repeat(ramp, 3, 0), 3, 1)
    whole = wrap(pixels, bits_stored=12, transfer_syntax=syntax)
    with pytest.raises(DecodeFailed, match=r"Send (it|the image) again"):
        decode(keep(whole[: int(len(whole) * kept)]))


def test_a_codestream_larger_than_the_header_says_is_refused_before_it_is_decoded(
    keep: Keep, ramp: Pixels
) -> None:
    with pytest.raises(DecodeFailed, match="80 x 95 pixels, the compressed image inside 80 x 96"):
        decode(keep(wrap(ramp, bits_stored=12, transfer_syntax=JPEG2000Lossless, tags={"Rows": 95})))


def test_compressed_pixels_under_an_uncompressed_label_fail_with_a_sentence(keep: Keep, ramp: Pixels) -> None:
    file = wrap(ramp, bits_stored=12, transfer_syntax=RLELossless)
    with pytest.raises(DecodeFailed, match="relabelled"):
        decode(keep(file.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0")))


def test_a_mislabelled_codestream_is_decoded_by_what_it_is(keep: Keep, ramp: Pixels) -> None:
    file = wrap(ramp, bits_stored=12, transfer_syntax=JPEGLSLossless)
    path = keep(file.replace(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.70"))
    np.testing.assert_array_equal(decode(path), ramp)


def test_a_private_transfer_syntax_fails_with_a_sentence(keep: Keep, ramp: Pixels) -> None:
    file = wrap(ramp, transfer_syntax=JPEGLSLossless, bits_stored=12)
    with pytest.raises(DecodeFailed, match="private or unknown"):
        decode(keep(file.replace(b"1.2.840.10008.1.2.4.80", b"1.3.840.10008.1.2.4.80")))


def test_a_frame_in_many_fragments_is_put_together(keep: Keep, ramp: Pixels) -> None:
    dataset = pydicom.dcmread(keep(wrap(ramp, bits_stored=12, transfer_syntax=JPEGLSLossless)))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=5)
    path = keep(b"")
    dataset.save_as(path)
    np.testing.assert_array_equal(decode(path), ramp)


def test_what_no_sample_layout_allows_fails_with_a_sentence(keep: Keep, ramp: Pixels) -> None:
    for tags, words in (
        ({"BitsAllocated": 12}, "12 bits allocated"),
        ({"BitsStored": 17}, "17 bits stored in 16"),
        ({"SamplesPerPixel": 2}, "2 samples each"),
    ):
        path = keep(wrap(ramp, tags=tags))
        with open_dicom(path) as opened, pytest.raises(DecodeFailed, match=words):
            read_stored(opened, path)
