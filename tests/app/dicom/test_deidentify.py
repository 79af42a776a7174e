"""Images that leave without their patients: nothing planted is found again, and the picture is the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_files
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from app.dicom.codestream_comments import without_comments
from app.dicom.confidentiality import CODED_SEQUENCES, DATES, EMPTIED, KEPT, KEPT_SEQUENCES, REPLACED_UIDS
from app.dicom.deidentify import deidentify, may_show_its_patient, redraw
from app.dicom.header import read_header
from app.dicom.image_header import ImageHeader
from app.dicom.lettering import covers, deep_text_boxes, painted_over, text_boxes
from app.dicom.pseudonyms import Pseudonyms
from app.errors import Problem, Unreadable
from tests.app.dicom.planted import (
    LUT,
    PLANTED,
    STUDY_DATE,
    UID,
    a_chest,
    a_name_in_the_white,
    planted,
    planted_jpeg,
)

NAMES = Pseudonyms(b"a secret of the site, 32 bytes...")
OF_THE_STANDARD = {
    *("InstanceCreatorUID", "PatientAge", "PatientWeight", "EthnicGroup", "OtherPatientIDs", "StationName"),
    *("InstitutionName", "DeviceSerialNumber", "PlateID", "DetectorID", "OperatorsName", "ImageComments"),
    *("StudyDescription", "SeriesDescription", "ProtocolName", "RequestAttributesSequence", "SeriesTime"),
    *(
        "AcquisitionTime",
        "ContentTime",
        "PerformedProcedureStepID",
        "DerivationDescription",
        "ContentCreatorName",
    ),
    *("ReferencedImageSequence", "SourceImageSequence", "OriginalAttributesSequence", "IssuerOfPatientID"),
    *("AdmissionID", "FrameComments", "CassetteID", "GantryID", "AcquisitionComments", "PatientComments"),
}
"""Of table E.1-1 what CR and DX images carry with action X, or X beside Z or D."""


def without_patient(
    data: bytes, folder: Path, *, names: Pseudonyms = NAMES, dates: str = "removed", key: str = "patient"
) -> bytes:
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(data)
    deidentify(source, target, patient_key=key, names=names, dates=dates)
    return target.read_bytes()


def found_in(data: bytes) -> list[str]:
    return [word for word in (*PLANTED, STUDY_DATE) if word.lower().encode() in data.lower()]


@pytest.mark.parametrize(
    "syntax",
    [
        *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
        *(JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless),
    ],
)
def test_nothing_that_was_planted_is_found_again_and_the_picture_is_the_same(
    syntax: str, tmp_path: Path
) -> None:
    before = planted(syntax)
    assert len(found_in(before)) == len(PLANTED) + 1
    after = without_patient(before, tmp_path)
    assert found_in(after) == []
    one, other = dcmread(tmp_path / "source.dcm"), dcmread(tmp_path / "target.dcm")
    assert other.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(one.pixel_array, other.pixel_array)
    assert other.VOILUTSequence[0].LUTData == LUT


def test_no_private_overlay_or_curve_attribute_is_left(tmp_path: Path) -> None:
    without_patient(planted(), tmp_path)
    for element in dcmread(tmp_path / "target.dcm").iterall():
        assert not element.tag.is_private
        assert element.tag.group not in range(0x5000, 0x6100)


def test_the_file_says_by_which_profile_it_was_made(tmp_path: Path) -> None:
    without_patient(planted(), tmp_path)
    said = dcmread(tmp_path / "target.dcm")
    assert said.PatientIdentityRemoved == "YES"
    assert said.LongitudinalTemporalInformationModified == "REMOVED"
    [code] = said.DeidentificationMethodCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")
    assert code.CodeMeaning == "Basic Application Confidentiality Profile"
    assert said.AnatomicRegionSequence[0].CodeMeaning == "Chest"
    assert said.ImageType == ["ORIGINAL", "PRIMARY"]
    for keyword in ("StudyDate", "StudyTime", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        assert keyword in said
        assert not said[keyword].value


def test_shifted_dates_keep_their_distance_and_differ_between_patients(tmp_path: Path) -> None:
    def study_date(day: str, key: str) -> date:
        without_patient(planted(tags={"StudyDate": day}), tmp_path, dates="shifted", key=key)
        said = dcmread(tmp_path / "target.dcm")
        assert said.LongitudinalTemporalInformationModified == "MODIFIED"
        assert [code.CodeValue for code in said.DeidentificationMethodCodeSequence] == ["113100", "113107"]
        assert said.StudyTime == ""
        return date.fromisoformat(f"{said.StudyDate[:4]}-{said.StudyDate[4:6]}-{said.StudyDate[6:]}")

    first, second = study_date("20250301", "one"), study_date("20250311", "one")
    assert (second - first).days == 10
    assert first < date(2025, 3, 1)
    assert study_date("20250301", "another") != first


def test_a_date_that_is_none_is_removed(tmp_path: Path) -> None:
    without_patient(planted(tags={"StudyDate": "OBERHUBE"}), tmp_path, dates="shifted")
    assert dcmread(tmp_path / "target.dcm").StudyDate == ""


def test_uids_are_replaced_by_the_same_for_the_same_and_nobody_reverses_them(tmp_path: Path) -> None:
    without_patient(planted(), tmp_path)
    one = dcmread(tmp_path / "target.dcm")
    without_patient(planted(tags={"SOPInstanceUID": f"{UID}.1.2"}), tmp_path)
    other = dcmread(tmp_path / "target.dcm")
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID == other.file_meta.MediaStorageSOPInstanceUID
    assert one.StudyInstanceUID.startswith("2.25.")
    assert one.StudyInstanceUID.is_valid
    elsewhere = Pseudonyms(b"another site's secret, 32 bytes..")
    assert elsewhere.uid(UID) != NAMES.uid(UID)
    assert elsewhere.patient("patient") != one.PatientID == NAMES.patient("patient")


def test_comments_inside_a_compressed_picture_are_gone(tmp_path: Path) -> None:
    before = planted_jpeg()
    assert len(found_in(before)) >= 2
    assert not {"OBERHUBER", "PID-774411"} & set(found_in(without_patient(before, tmp_path)))
    one, other = dcmread(tmp_path / "source.dcm"), dcmread(tmp_path / "target.dcm")
    assert np.array_equal(one.pixel_array, other.pixel_array)


SECRET = b"OBERHUBER"


def jpeg_segment(marker: bytes, content: bytes = SECRET) -> bytes:
    return marker + (len(content) + 2).to_bytes(2, "big") + content


def a_progressive_jpeg() -> bytes:
    grey = (a_chest() / 16).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())


def test_a_comment_behind_fill_bytes_and_one_between_scans_are_gone() -> None:
    jpeg = a_progressive_jpeg()
    second_scan = jpeg.index(b"\xff\xda", jpeg.index(b"\xff\xda") + 2)
    tables = jpeg.rindex(b"\xff\xc4", 0, second_scan)
    planted_in = (
        jpeg[:2]
        + b"\xff\xff\xff"
        + jpeg_segment(b"\xff\xfe")
        + jpeg[2:tables]
        + jpeg_segment(b"\xff\xfe")
        + b"\xff"
        + jpeg_segment(b"\xff\xe1")
        + jpeg[tables:]
        + SECRET
        + b"\xff\xd9"
    )
    assert planted_in.count(SECRET) == 4
    clean = without_comments(planted_in)
    assert SECRET not in clean
    one, other = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in (jpeg, clean))
    assert np.array_equal(one, other)


def a_jpeg_2000() -> tuple[bytes, bytes]:
    """As a file of boxes, and its bare codestream."""
    file = bytes(cv2.imencode(".jp2", a_chest())[1].tobytes())
    start = file.index(b"jp2c") + 4
    return file, file[start:]


@pytest.mark.parametrize("says_length", [True, False], ids=["with the length", "to the end"])
def test_a_comment_of_a_tile_part_and_boxes_after_the_codestream_are_gone(says_length: bool) -> None:
    file, bare = a_jpeg_2000()
    tile, data = bare.index(b"\xff\x90"), bare.index(b"\xff\x93")
    comment = jpeg_segment(b"\xff\x64", b"\0\1" + SECRET)
    length = int.from_bytes(bare[tile + 6 : tile + 10], "big") + len(comment) if says_length else 0
    planted_in = (
        bare[:tile]
        + comment
        + bare[tile : tile + 6]
        + length.to_bytes(4, "big")
        + bare[tile + 10 : data]
        + comment
        + bare[data:]
        + b"\0\0\0\x11xml "
        + SECRET
        + b"\xff\xd9"
    )
    assert planted_in.count(SECRET) == 3
    clean = without_comments(file[: -len(bare)] + planted_in)
    assert SECRET not in clean
    one, other = (cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_UNCHANGED) for each in (file, clean))
    assert one.dtype == np.uint16
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "codestream",
    [
        SECRET,
        a_progressive_jpeg()[:-2] + SECRET,
        a_progressive_jpeg()[:2] + b"\xff\x05" + a_progressive_jpeg()[2:],
        a_jpeg_2000()[1][:-2] + SECRET,
        a_jpeg_2000()[1][:2] + jpeg_segment(b"\xff\x6f") + a_jpeg_2000()[1][2:],
    ],
    ids=["neither", "JPEG without end", "JPEG marker", "words for the end", "JPEG 2000 marker"],
)
def test_a_compressed_picture_that_is_not_understood_is_left_out(codestream: bytes) -> None:
    with pytest.raises(Unreadable):
        without_comments(codestream)


def test_an_overlay_in_unused_bits_of_the_samples_is_gone(tmp_path: Path) -> None:
    data = planted()
    pixels = a_chest()
    marked = pixels.copy()
    marked[100:120, 100:200] |= 0x8000
    before = data.replace(pixels.tobytes(), marked.tobytes())
    assert before != data
    assert found_in(without_patient(before, tmp_path)) == []
    assert dcmread(tmp_path / "target.dcm").PixelData == pixels.tobytes()


def test_attributes_that_table_e_1_1_removes_are_in_no_list_of_what_is_kept() -> None:
    kept = KEPT | set(KEPT_SEQUENCES) | CODED_SEQUENCES | EMPTIED | REPLACED_UIDS
    assert not OF_THE_STANDARD & kept
    assert not set(DATES) & kept


def test_numbers_that_are_words_are_removed(tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    source.write_bytes(planted(tags={"KVP": "80.123456"}).replace(b"80.123456", b"OBERHUBER"))
    assert b"OBERHUBER" in source.read_bytes()
    assert found_in(without_patient(source.read_bytes(), tmp_path)) == []
    assert "KVP" not in dcmread(tmp_path / "target.dcm")


def _names_of(path: Path) -> list[bytes]:
    said = dcmread(path, force=True)
    words = [
        str(said.get(keyword, ""))
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "InstitutionName")
    ]
    return [word.encode("latin-1", "ignore") for word in words if len(word) > 4]


def test_real_files_come_out_with_the_same_pixels_and_without_their_names(
    tmp_path: Path, shared_data: Path
) -> None:
    files = sorted((shared_data / "dicom" / "chest").glob("*.dcm"))
    assert len(files) == 4
    for file in files:
        after = without_patient(file.read_bytes(), tmp_path)
        assert [word for word in _names_of(file) if word in after] == []
        one, other = dcmread(file), dcmread(tmp_path / "target.dcm")
        assert bytes(one.PixelData) == bytes(other.PixelData) or np.array_equal(
            one.pixel_array, other.pixel_array
        )
        assert read_header(tmp_path / "target.dcm").rows == one.Rows


def test_pydicoms_own_files_come_out_clean_or_are_refused(tmp_path: Path) -> None:
    done = 0
    for name in get_testdata_files("*_small*.dcm") + get_testdata_files("*RG*.dcm"):
        source, target = Path(str(name)), tmp_path / "target.dcm"
        try:
            deidentify(source, target, patient_key="p", names=NAMES, dates="shifted")
        except Problem:
            continue
        after = target.read_bytes()
        assert [word for word in _names_of(source) if word in after] == []
        done += 1
    assert done >= 3


def test_a_picture_is_drawn_anew_without_its_metadata(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", (a_chest() / 16).astype(np.uint8))[1].tobytes()
    named = b"\xff\xfe" + (11).to_bytes(2, "big") + b"OBERHUBER"
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + named + jpeg[2:])
    redraw(tmp_path / "a.jpg", tmp_path / "a.png")
    assert b"OBERHUBER" not in (tmp_path / "a.png").read_bytes()
    one = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(one, cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE))
    cv2.imwrite(str(tmp_path / "b.png"), a_chest())
    redraw(tmp_path / "b.png", tmp_path / "c.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "c.png"), cv2.IMREAD_UNCHANGED), a_chest())


def test_letters_are_found_and_painted_over_and_a_side_marker_is_none() -> None:
    plain = (a_chest(1200, 1000) / 16).astype(np.uint8)
    assert text_boxes(plain) == ()
    marker = plain.copy()
    cv2.putText(marker, "R", (60, 100), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 5)
    assert text_boxes(marker) == ()
    named = plain.copy()
    cv2.putText(named, "OBERHUBER ANNA 17.03.2021", (60, 1100), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    boxes = text_boxes(named)
    assert boxes
    painted = painted_over(named, boxes)
    assert text_boxes(painted) == ()
    assert np.array_equal(painted[:1000], plain[:1000])


def test_letters_that_only_another_window_shows_are_found_at_full_depth() -> None:
    named = a_name_in_the_white()
    as_shown = np.clip(named / 3500 * 255, 0, 255).astype(np.uint8)
    assert text_boxes(as_shown) == ()
    hot = named.copy()
    hot[3, 3] = 65535
    black = 4095 - named
    for samples in (named, hot, black):
        boxes = deep_text_boxes(samples)
        assert boxes
        assert all(box.top > 1000 for box in boxes)
    plain = a_chest(1200, 1000)
    plain[1000:] = 4000
    assert deep_text_boxes(plain) == ()


def test_a_picture_of_too_many_shapes_is_taken_for_letters() -> None:
    crowded = np.zeros((1200, 1000), np.uint8)
    for top in range(2, 1190, 12):
        for left in range(2, 990, 12):
            crowded[top : top + 8, left : left + 6] = 255
    boxes = text_boxes(crowded)
    assert covers(boxes, crowded.shape)
    assert not covers(text_boxes((a_chest(1200, 1000) / 16).astype(np.uint8)), (1200, 1000))


def test_a_masked_image_is_declared_clean_of_letters(tmp_path: Path) -> None:
    source, target = tmp_path / "source.dcm", tmp_path / "target.dcm"
    source.write_bytes(planted())
    masked = np.full((320, 280), 7, np.uint8)
    deidentify(source, target, patient_key="p", names=NAMES, dates="removed", masked=masked)
    said = dcmread(target)
    assert np.array_equal(said.pixel_array, masked)
    assert said.BurnedInAnnotation == "NO"
    assert [code.CodeValue for code in said.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert found_in(target.read_bytes()) == []


def test_captures_and_images_that_say_so_may_show_their_patient() -> None:
    plain = ImageHeader(media_type="application/dicom", sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1")
    assert not may_show_its_patient(plain)
    assert may_show_its_patient(
        ImageHeader(media_type="application/dicom", sop_class_uid="1.2.840.10008.5.1.4.1.1.7")
    )
    assert may_show_its_patient(ImageHeader(media_type="application/dicom", burned_in_annotation="YES"))
