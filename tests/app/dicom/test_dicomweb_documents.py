"""The documents of STOW-RS, QIDO-RS and WADO-RS, without a web."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.dicom.dicom_xml import native_xml
from app.dicom.encode import ENCAPSULATED
from app.dicom.header import read_header
from app.dicom.qido import Match, attribute_tag, parse_query, query_result
from app.dicom.stow import FailedInstance, StoredInstance, stow_answer
from app.dicom.wado import frame_media_type, frames, metadata, part10_form
from app.dicom.write import wrap, write_phantom
from app.errors import BadRequest, NotFound

from .conftest import Keep

Ramp = NDArray[np.uint16]
XML = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def test_a_stow_answer_is_a_dataset_that_pydicom_reads() -> None:
    answer = stow_answer(
        retrieve_url="https://x/studies/1.2",
        stored=[
            StoredInstance(sop_class_uid="1.1", sop_instance_uid="1.2.3", retrieve_url="https://x/3"),
            StoredInstance(
                sop_class_uid="1.1",
                sop_instance_uid="1.2.4",
                retrieve_url="https://x/4",
                warning_reason=0xB000,
            ),
        ],
        failed=[
            FailedInstance(sop_class_uid="1.1", sop_instance_uid="1.2.5", failure_reason=0xA900),
            FailedInstance(failure_reason=0x0122),
        ],
    )
    dataset = Dataset.from_json(json.loads(json.dumps(answer)))
    assert dataset.RetrieveURL == "https://x/studies/1.2"
    assert [item.ReferencedSOPInstanceUID for item in dataset.ReferencedSOPSequence] == ["1.2.3", "1.2.4"]
    assert [item.RetrieveURL for item in dataset.ReferencedSOPSequence] == ["https://x/3", "https://x/4"]
    assert dataset.ReferencedSOPSequence[1].WarningReason == 0xB000
    assert dataset.FailedSOPSequence[0].FailureReason == 0xA900
    assert dataset[0x0008, 0x119A].value[0].FailureReason == 0x0122


def test_a_stow_answer_without_failures_has_no_failure_sequence() -> None:
    kept = StoredInstance(sop_class_uid="1", sop_instance_uid="2", retrieve_url="u")
    assert set(stow_answer(retrieve_url=None, stored=[kept], failed=[])) == {"00081199"}


def test_native_xml_says_what_the_json_says() -> None:
    answer = stow_answer(
        retrieve_url="https://x",
        stored=[],
        failed=[FailedInstance(sop_instance_uid="1.5", failure_reason=272)],
    )
    root = ET.fromstring(native_xml(answer))
    assert root.tag == f"{XML}NativeDicomModel"
    url = root.find(f"{XML}DicomAttribute[@tag='00081190']")
    assert url is not None
    assert (url.get("keyword"), url.get("vr"), url.findtext(f"{XML}Value")) == (
        "RetrieveURL",
        "UR",
        "https://x",
    )
    reason = root.find(f"*/{XML}Item/{XML}DicomAttribute[@keyword='FailureReason']/{XML}Value")
    assert reason is not None
    assert reason.text == "272"


def test_names_and_binary_values_stand_in_native_xml(keep: Keep, ramp: Ramp) -> None:
    file = wrap(ramp, tags={"PatientName": "Yamada^Tarou^^Dr=山田^太郎", "OtherPatientIDs": ["a&b", "<c>"]})
    root = ET.fromstring(native_xml(metadata(keep(file), bulk_data_url="https://x/bulk")))
    name = root.find(f"{XML}DicomAttribute[@keyword='PatientName']/{XML}PersonName")
    assert name is not None
    assert name.findtext(f"{XML}Alphabetic/{XML}NamePrefix") == "Dr"
    assert name.findtext(f"{XML}Ideographic/{XML}FamilyName") == "山田"
    values = [
        value.text for value in root.findall(f"{XML}DicomAttribute[@keyword='OtherPatientIDs']/{XML}Value")
    ]
    assert values == ["a&b", "<c>"]
    bulk = root.find(f"{XML}DicomAttribute[@keyword='PixelData']/{XML}BulkData")
    assert bulk is not None
    assert bulk.get("uri") == "https://x/bulk"


def test_metadata_is_the_dataset_with_a_place_for_its_pixels(keep: Keep) -> None:
    path = keep(write_phantom(rows=150, columns=130, transfer_syntax="1.2.840.10008.1.2.4.70"))
    model = metadata(path, bulk_data_url="https://x/bulk")
    json.dumps(model, allow_nan=False)
    assert list(model) == sorted(model)
    assert model["7FE00010"] == {"vr": "OB", "BulkDataURI": "https://x/bulk"}
    assert model["00083002"]["Value"] == ["1.2.840.10008.1.2.4.70"]
    original, read_back = pydicom.dcmread(path), Dataset.from_json(model, lambda *_: b"")
    for element in original:
        if element.keyword != "PixelData":
            assert read_back[element.tag].value == element.value, element.keyword


def test_small_binary_values_stand_inline_in_metadata(keep: Keep, ramp: Ramp) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(256)))
    path = keep(wrap(ramp, tags={"VOILUTSequence": [item]}))
    inline = metadata(path, bulk_data_url="u")["00283010"]["Value"][0]["00283006"]["InlineBinary"]
    assert base64.b64decode(inline) == bytes(range(256))
    assert "00283006" not in read_header(path).attributes["00283010"]["Value"][0]


@pytest.mark.parametrize("syntax", sorted(ENCAPSULATED))
def test_a_compressed_frame_is_given_as_it_is_stored(syntax: str, keep: Keep, ramp: Ramp) -> None:
    path = keep(wrap((ramp >> 4).astype(np.uint8), transfer_syntax=syntax))
    (frame,) = frames(path, [1])
    # pydicom keeps the byte that made the fragment even.
    assert frame.data == next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    assert frame.transfer_syntax == syntax
    assert frame.media_type == frame_media_type(syntax) != "application/octet-stream"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_uncompressed_frame_is_given_little_endian(
    syntax: str, dtype: Any, keep: Keep, ramp: Ramp
) -> None:
    pixels = ramp.astype(dtype)
    (frame,) = frames(keep(wrap(pixels, transfer_syntax=syntax)), [1])
    assert frame.data == pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    assert (frame.transfer_syntax, frame.media_type) == (ExplicitVRLittleEndian, "application/octet-stream")


def test_frames_are_chosen_by_number(keep: Keep, ramp: Ramp) -> None:
    stack = np.concatenate([ramp, ramp + 1, ramp + 2])
    path = keep(wrap(stack, tags={"Rows": 96, "NumberOfFrames": 3}))
    third, first = frames(path, [3, 1])
    assert third.data == (ramp + 2).astype("<u2").tobytes()
    assert first.data == ramp.astype("<u2").tobytes()
    for numbers in ([0], [4], []):
        with pytest.raises(NotFound, match="3 frames"):
            frames(path, numbers)


@pytest.mark.parametrize(("fragments", "has_table"), [(1, True), (1, False), (3, True), (3, False)])
def test_frames_are_found_with_and_without_an_offset_table(
    fragments: int, has_table: bool, keep: Keep, ramp: Ramp
) -> None:
    codestreams = []
    for number in range(3):
        path = keep(wrap(ramp + number, bits_stored=16, transfer_syntax="1.2.840.10008.1.2.4.80"))
        codestreams.append(next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)))
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 3
    dataset.PixelData = encapsulate(codestreams, fragments_per_frame=fragments, has_bot=has_table)
    dataset.save_as(path)
    assert [frame.data.rstrip(b"\0") for frame in frames(path, [1, 2, 3])] == [
        codestream.rstrip(b"\0") for codestream in codestreams
    ]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_bare_dataset_is_sent_as_part_10(syntax: str, keep: Keep, ramp: Ramp) -> None:
    bare = wrap(ramp, transfer_syntax=syntax, part10=False)
    prefix, start = part10_form(keep(bare))
    whole = pydicom.dcmread(keep(prefix + bare[start:]))
    assert whole.file_meta.TransferSyntaxUID == syntax
    assert whole.file_meta.MediaStorageSOPInstanceUID == whole.SOPInstanceUID
    np.testing.assert_array_equal(whole.pixel_array, ramp)


def test_a_part_10_file_is_sent_as_it_is(keep: Keep, ramp: Ramp) -> None:
    assert part10_form(keep(wrap(ramp))) == (b"", 0)


def test_a_query_is_read_into_matches() -> None:
    query = parse_query(
        [
            ("PatientName", "Do?^J*"),
            ("00100020", "P 1"),
            ("StudyDate", "20250101-20250331"),
            ("StudyTime", "-1200"),
            ("StudyInstanceUID", "1.2,1.3\\1.4"),
            ("AccessionNumber", "*"),
            ("ModalitiesInStudy", "DX"),
            ("includefield", "StudyDescription,00081010"),
            ("limit", "20"),
            ("offset", "40"),
            ("fuzzymatching", "true"),
        ]
    )
    assert query.matches == (
        Match("00100010", "PN", "wildcard", ("Do?^J*",)),
        Match("00100020", "LO", "exact", ("P 1",)),
        Match("00080020", "DA", "range", ("20250101", "20250331")),
        Match("00080030", "TM", "range", ("", "1200")),
        Match("0020000D", "UI", "exact", ("1.2", "1.3", "1.4")),
        Match("00080050", "SH", "present", ()),
        Match("00080061", "CS", "exact", ("DX",)),
    )
    assert query.include == {"00081030", "00081010"}
    assert (query.limit, query.offset, query.fuzzy) == (20, 40, True)
    assert parse_query([("includefield", "all")]).include is None


@pytest.mark.parametrize(
    "parameter",
    [("Patient", "x"), ("limit", "-1"), ("offset", "1.5"), ("limit", "9" * 12), ("includefield", "Nonsense")],
)
def test_a_query_that_makes_no_sense_is_a_bad_request(parameter: tuple[str, str]) -> None:
    with pytest.raises(BadRequest):
        parse_query([parameter])


def test_attributes_are_named_by_keyword_or_tag() -> None:
    assert attribute_tag("PatientID") == attribute_tag("00100020") == "00100020"
    assert attribute_tag("0020000d") == "0020000D"


def test_an_answer_holds_its_levels_attributes_and_what_was_asked_for(keep: Keep) -> None:
    attributes = read_header(keep(write_phantom(rows=150, columns=130))).attributes
    computed = {"00081190": "https://x", "00080061": ["CR", "DX"], "00201206": 1, "00201208": 2}
    study = query_result(attributes, ["study"], computed=computed, include=frozenset())
    assert study["00080061"] == {"vr": "CS", "Value": ["CR", "DX"]}
    assert study["00201208"] == {"vr": "IS", "Value": [2]}
    assert study["00100020"]["Value"] == ["PHANTOM-0000"]
    assert "00081030" not in study
    assert "00080018" not in study
    asked = query_result(attributes, ["study"], computed={}, include=frozenset({"00081030", "00080018"}))
    assert asked["00081030"]["Value"] == ["PHANTOM: normal"]
    assert "00080018" not in asked
    instance = query_result(attributes, ["study", "series", "instance"], computed={}, include=frozenset())
    assert {"0020000D", "0020000E", "00080018", "00280010"} <= set(instance)
    everything = query_result(attributes, ["instance"], computed={}, include=None)
    assert set(attributes) <= set(everything)


def test_real_files_make_metadata_and_xml(shared_data: Path) -> None:
    for path in sorted((shared_data / "dicom").glob("*chest/*.dcm")):
        model = metadata(path, bulk_data_url="u")
        json.dumps(model, allow_nan=False)
        ET.fromstring(native_xml(model))
        assert model["7FE00010"]["BulkDataURI"] == "u"
