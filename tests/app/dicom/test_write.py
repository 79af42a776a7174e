"""Files that this program writes itself, as other programs read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from app.dicom.header import DICOM, pixel_sha256, read_header
from app.dicom.pixels import present
from app.dicom.write import wrap, write_phantom

from .conftest import Keep

Ramp = NDArray[np.uint16]


def test_a_grey_jpeg_is_embedded_as_it_is(keep: Keep, ramp: Ramp) -> None:
    jpeg = cv2.imencode(".jpg", (ramp >> 4).astype(np.uint8))[1].tobytes()
    wrapped = keep(wrap(keep(jpeg, "a.jpg"), transfer_syntax=JPEGBaseline8Bit))
    frame = next(generate_frames(pydicom.dcmread(wrapped).PixelData, number_of_frames=1))
    assert frame[: len(jpeg)] == jpeg
    plain = present(keep(jpeg, "b.jpg"), "image/jpeg", preview_side=64).grey
    np.testing.assert_allclose(present(wrapped, DICOM, preview_side=64).grey, plain, atol=1)


def test_a_16_bit_png_is_wrapped_without_loss(keep: Keep, ramp: Ramp) -> None:
    png = keep(cv2.imencode(".png", ramp)[1].tobytes(), "a.png")
    wrapped = keep(wrap(png, transfer_syntax=JPEGLosslessSV1))
    np.testing.assert_array_equal(pydicom.dcmread(wrapped).pixel_array, ramp)


def test_tags_come_last_and_none_deletes(keep: Keep, ramp: Ramp) -> None:
    header = read_header(keep(wrap(ramp, patient_age="004Y", tags={"ViewPosition": None, "Modality": "CR"})))
    assert (header.view_position, header.modality, header.age_years) == (None, "CR", 4.0)


def test_what_a_codec_cannot_hold_is_a_value_error(ramp: Ramp) -> None:
    with pytest.raises(ValueError, match="8-bit samples only"):
        wrap(ramp, transfer_syntax=JPEGBaseline8Bit)
    with pytest.raises(ValueError, match="make no radiograph"):
        wrap(ramp.astype(np.float32))


def test_dcmtk_finds_nothing_to_say_of_a_phantom(
    keep: Keep, dcmtk: Callable[..., None], tmp_path: Path
) -> None:
    path = keep(write_phantom(rows=200, columns=160))
    dcmtk("dcmdump", "-q", "+E", path)
    dcmtk("dcmconv", "-q", "+ti", path, tmp_path / "implicit.dcm")
    assert pixel_sha256(tmp_path / "implicit.dcm") == pixel_sha256(path)


def test_a_phantom_of_given_identity_keeps_it(keep: Keep) -> None:
    uids = {"study_instance_uid": "1.2.3", "series_instance_uid": "1.2.3.4", "sop_instance_uid": "1.2.3.4.5"}
    header = read_header(keep(write_phantom(rows=160, columns=140, patient_id="P7", **uids)))
    assert (header.study_instance_uid, header.sop_instance_uid) == ("1.2.3", "1.2.3.4.5")
    assert header.patient_id == "P7"
