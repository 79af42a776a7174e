"""What is read of a header, in every container and encoding that a file may come in."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from app.dicom.encode import ENCAPSULATED
from app.dicom.header import pixel_sha256, read_header
from app.dicom.write import wrap, write_phantom
from app.errors import NotAnImage, Unreadable

from .conftest import Keep

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
Ramp = NDArray[np.uint16]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, *sorted(ENCAPSULATED)])
def test_a_header_reads_the_same_in_every_transfer_syntax(syntax: str, keep: Keep, ramp: Ramp) -> None:
    pixels = (ramp >> 4).astype(np.uint8)
    header = read_header(keep(wrap(pixels, transfer_syntax=syntax, tags={"PatientName": "Müller^Zoë"})))
    assert header.transfer_syntax_uid == syntax
    assert (header.patient_name, header.age_years, header.modality) == ("Müller^Zoë", 3.0, "DX")
    assert (header.rows, header.columns, header.bits_stored) == (96, 80, 8)
    assert header.study_date == date(2025, 3, 1)
    assert header.imager_pixel_spacing == (0.2, 0.2)


def test_side_and_time_are_read_where_computed_radiography_writes_them(keep: Keep, ramp: Ramp) -> None:
    of_cr = {"ImageLaterality": "", "Laterality": "L", "StudyTime": "", "AcquisitionTime": "101500"}
    header = read_header(keep(wrap(ramp, tags=of_cr)))
    assert (header.image_laterality, header.study_time) == ("L", "101500")
    header = read_header(keep(wrap(ramp, tags=of_cr | {"ImageLaterality": "R", "StudyTime": "080000"})))
    assert (header.image_laterality, header.study_time) == ("R", "080000")


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_bare_dataset_without_preamble_is_read(syntax: str, keep: Keep, ramp: Ramp) -> None:
    header = read_header(keep(wrap(ramp, transfer_syntax=syntax, part10=False)))
    assert header.transfer_syntax_uid == syntax
    assert (header.rows, header.age_years) == (96, 3.0)


def test_file_meta_without_preamble_is_read(keep: Keep, ramp: Ramp) -> None:
    header = read_header(keep(wrap(ramp, transfer_syntax=IMPLICIT)[132:]))
    assert (header.transfer_syntax_uid, header.rows) == (IMPLICIT, 96)


@pytest.mark.parametrize(
    ("character_set", "name", "expected"),
    [
        ("ISO_IR 100", "Buc^Jérôme", "Buc^Jérôme"),
        ("ISO_IR 144", "Люкceмбypг", "Люкceмбypг"),
        ("GB18030", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东"),
        (
            ["", "ISO 2022 IR 87"],
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_are_read_in_their_character_set(
    character_set: Any, name: str, expected: str, keep: Keep, ramp: Ramp
) -> None:
    file = wrap(ramp, tags={"SpecificCharacterSet": character_set, "PatientName": name})
    assert read_header(keep(file)).patient_name == expected


def test_bytes_foreign_to_the_character_set_do_not_stop_the_reading(keep: Keep, ramp: Ramp) -> None:
    file = wrap(ramp, tags={"SpecificCharacterSet": "ISO_IR 192", "PatientName": "ABCDEFGH"})
    header = read_header(keep(file.replace(b"ABCDEFGH", b"A\xff\xfe\x80EF\x00H")))
    json.dumps(header.attributes).encode()
    assert header.patient_name is not None
    assert "\0" not in header.patient_name
    assert header.patient_name.startswith("A")


def test_what_stands_in_attributes_can_be_stored_as_json_in_any_database(keep: Keep, ramp: Ramp) -> None:
    tags = {"StudyDescription": "a\x00b\x07c", "WindowCenter": "2048", "PatientComments": "x\x1fy"}
    text = json.dumps(read_header(keep(wrap(ramp, tags=tags))).attributes, allow_nan=False)
    assert "\\u0000" not in text
    assert "\\u0007" not in text
    assert '"abc"' in text


def test_attributes_hold_the_dicom_json_model_without_pixels(keep: Keep) -> None:
    attributes = read_header(keep(write_phantom(rows=200, columns=160, seed=3))).attributes
    assert attributes["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "PHANTOM^Normal"}]}
    assert attributes["00280010"] == {"vr": "US", "Value": [200]}
    assert attributes["00281050"] == {"vr": "DS", "Value": [2048]}
    assert attributes["00080050"] == {"vr": "SH"}
    assert "7FE00010" not in attributes


def test_pixel_sha256_tells_a_header_revision_from_a_conflict(keep: Keep, ramp: Ramp) -> None:
    original = pixel_sha256(keep(wrap(ramp)))
    revised = pixel_sha256(keep(wrap(ramp, patient_name="CORRECTED^NAME", transfer_syntax=IMPLICIT)))
    other = pixel_sha256(keep(wrap(ramp + 1)))
    assert original == revised != other


def test_an_age_comes_from_the_dates_where_patient_age_says_nothing(keep: Keep, ramp: Ramp) -> None:
    tags = {"PatientBirthDate": "20210301", "StudyDate": "20250301"}
    header = read_header(keep(wrap(ramp, patient_age="unknown", tags=tags)))
    assert (header.age_years, header.patient_birth_date) == (4.0, date(2021, 3, 1))


def test_dates_of_acr_nema_are_read(keep: Keep, ramp: Ramp) -> None:
    file = wrap(ramp, tags={"StudyDate": "20250301"}).replace(b"20250301", b"2025.3.1")
    assert read_header(keep(file)).study_date is None
    file = wrap(ramp, patient_age=None, tags={"PatientBirthDate": "2021.03.01"})
    assert read_header(keep(file)).patient_birth_date == date(2021, 3, 1)


def test_codes_stand_in_for_body_part_and_view(keep: Keep, ramp: Ramp) -> None:
    region, view = Dataset(), Dataset()
    region.CodeMeaning, view.CodeMeaning = "Chest", "postero-anterior"
    tags = {
        "BodyPartExamined": "",
        "ViewPosition": None,
        "AnatomicRegionSequence": [region],
        "ViewCodeSequence": [view],
    }
    header = read_header(keep(wrap(ramp, tags=tags)))
    assert (header.body_part_examined, header.view_position) == ("Chest", "postero-anterior")


def test_numbers_with_a_decimal_point_where_none_belongs_are_read(keep: Keep, ramp: Ramp) -> None:
    file = wrap(ramp, tags={"InstanceNumber": "7777"}).replace(b"7777", b"12.0")
    assert read_header(keep(file)).instance_number == 12


def test_a_hashed_uid_of_an_anonymiser_is_taken(keep: Keep, ramp: Ramp) -> None:
    uid = "dccc9599087131742838cc1162a630fea87ba9bf61ac09bfda90d4adfa5ddaed"
    assert read_header(keep(wrap(ramp, sop_instance_uid=uid))).sop_instance_uid == uid


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_missing_uid_is_named(keyword: str, keep: Keep, ramp: Ramp) -> None:
    with pytest.raises(Unreadable, match=f"no {keyword}"):
        read_header(keep(wrap(ramp, tags={keyword: None})))


def test_an_object_without_pixels_is_named_for_what_it_is(keep: Keep, ramp: Ramp) -> None:
    without = {"PixelData": None, "Rows": None, "Columns": None}
    report = wrap(ramp, tags=without | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33"})
    with pytest.raises(NotAnImage, match="Comprehensive SR"):
        read_header(keep(report))
    pdf = wrap(
        ramp, tags=without | {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "EncapsulatedDocument": b"%PDF"}
    )
    with pytest.raises(NotAnImage, match="Encapsulated PDF"):
        read_header(keep(pdf))
    with pytest.raises(NotAnImage, match="holds no image"):
        read_header(keep(wrap(ramp, tags=without | {"SOPClassUID": "1.2.3.4"})))
