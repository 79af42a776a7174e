"""QIDO-RS as PS3.18 10.6 has it."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.records import AuditEvent
from tests.app.web.test_stow import store
from tests.builders import a_dicom, a_png

Headers = dict[str, str]


@pytest.fixture
def archive(client: TestClient, sender: Headers) -> TestClient:
    """Three studies: 1.1 with two series, 1.2 and 1.3."""
    client.headers.update(sender)
    instances = [
        a_dicom(
            study_instance_uid=study,
            series_instance_uid=series,
            sop_instance_uid=f"{series}.1",
            patient_id=patient,
            tags={
                "PatientName": name,
                "StudyDate": day,
                "AccessionNumber": accession,
                "Modality": modality,
                "SeriesNumber": number,
                "PatientBirthDate": "20210315",
            },
        )
        for number, (study, series, patient, name, day, accession, modality) in enumerate(
            [
                ("1.1", "1.1.1", "P1", "Müller^Änne", "20260101", "A-1", "DX"),
                ("1.1", "1.1.2", "P1", "Müller^Änne", "20260101", "A-1", "CR"),
                ("1.2", "1.2.1", "P2", "Meier^Bo", "20260215", "A_2", "DX"),
                ("1.3", "1.3.1", "Q3", "Yamada^Taro=山田^太郎", "20260301", "B%3", "DX"),
            ],
            start=1,
        )
    ]
    answer = store(client, {}, *instances)
    assert answer.status_code == 200, answer.text
    return client


def search(archive: TestClient, path: str, **parameters: Any) -> list[Any]:
    answer = archive.get(f"/dicomweb/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    found: list[Any] = answer.json()
    for model in found:
        Dataset.from_json(model)
    return found


def uids(models: list[Any], tag: str = "0020000D") -> set[str]:
    return {model[tag]["Value"][0] for model in models}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"1.1", "1.2", "1.3"}),
        ({"PatientID": "P1"}, {"1.1"}),
        ({"00100020": "P1"}, {"1.1"}),
        ({"PatientID": "P*"}, {"1.1", "1.2"}),
        ({"PatientID": "P?"}, {"1.1", "1.2"}),
        ({"PatientID": "p1"}, set()),
        ({"PatientID": "nobody"}, set()),
        ({"PatientID": ""}, {"1.1", "1.2", "1.3"}),
        ({"PatientName": "m*"}, {"1.1", "1.2"}),
        ({"PatientName": "müller*"}, {"1.1"}),
        ({"PatientName": "yamada^taro"}, {"1.3"}),
        ({"PatientName": "山田*"}, {"1.3"}),
        ({"StudyDate": "20260101"}, {"1.1"}),
        ({"StudyDate": "20260101-20260215"}, {"1.1", "1.2"}),
        ({"StudyDate": "20260201-"}, {"1.2", "1.3"}),
        ({"StudyDate": "-20260214"}, {"1.1"}),
        ({"PatientBirthDate": "20210315"}, {"1.1", "1.2", "1.3"}),
        ({"AccessionNumber": "A_2"}, {"1.2"}),
        ({"AccessionNumber": "A*"}, {"1.1", "1.2"}),
        ({"AccessionNumber": "*_*"}, {"1.2"}),
        ({"AccessionNumber": "*%*"}, {"1.3"}),
        ({"ModalitiesInStudy": "CR"}, {"1.1"}),
        ({"Modality": "CR"}, {"1.1"}),
        ({"StudyInstanceUID": "1.1,1.3"}, {"1.1", "1.3"}),
        ({"StudyInstanceUID": "1.1\\1.2"}, {"1.1", "1.2"}),
        ({"SeriesInstanceUID": "1.2.1"}, {"1.2"}),
        ({"Manufacturer": "*"}, {"1.1", "1.2", "1.3"}),
        ({"SeriesNumber": "2"}, {"1.1"}),
        ({"PatientID": "P*", "StudyDate": "20260201-"}, {"1.2"}),
    ],
)
def test_studies_are_found(archive: TestClient, parameters: dict[str, str], expected: set[str]) -> None:
    assert uids(search(archive, "studies", **parameters)) == expected


def test_a_study_says_what_is_in_it(archive: TestClient) -> None:
    [study] = search(archive, "studies", StudyInstanceUID="1.1")
    assert study["00080061"]["Value"] == ["CR", "DX"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([2], [2])
    assert study["00081190"]["Value"] == ["http://firstread.test/dicomweb/studies/1.1"]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Müller^Änne"}]
    assert study["00080020"]["Value"] == ["20260101"]


def test_series_and_instances_are_found_in_one_study_and_in_all(archive: TestClient) -> None:
    assert uids(search(archive, "studies/1.1/series"), "0020000E") == {"1.1.1", "1.1.2"}
    assert uids(search(archive, "series", Modality="DX"), "0020000E") == {"1.1.1", "1.2.1", "1.3.1"}
    assert uids(search(archive, "series", PatientID="P1"), "0020000E") == {"1.1.1", "1.1.2"}
    assert uids(search(archive, "studies/1.1/series/1.1.2/instances"), "00080018") == {"1.1.2.1"}
    assert uids(search(archive, "studies/1.1/instances"), "00080018") == {"1.1.1.1", "1.1.2.1"}
    [instance] = search(archive, "instances", SOPInstanceUID="1.2.1.1")
    assert instance["0020000D"]["Value"] == ["1.2"]
    assert instance["00280010"]["Value"] == [320]
    [series] = search(archive, "studies/1.1/series", Modality="CR")
    assert series["00201209"]["Value"] == [1]


def test_includefield_adds_what_was_asked_for(archive: TestClient) -> None:
    [plain] = search(archive, "studies", PatientID="P1")
    [more] = search(archive, "studies", PatientID="P1", includefield="StudyDescription")
    assert "00081030" not in plain
    assert more["00081030"]["Value"] == ["PHANTOM: normal"]
    [everything] = search(archive, "instances", SOPInstanceUID="1.2.1.1", includefield="all")
    assert "00204000" in everything


def test_pages_follow_each_other_and_say_when_there_is_more(archive: TestClient) -> None:
    first = archive.get("/dicomweb/studies", params={"limit": 2})
    assert "There are more results" in first.headers["warning"]
    rest = archive.get("/dicomweb/studies", params={"limit": 2, "offset": 2})
    assert "warning" not in rest.headers
    assert uids(first.json()) | uids(rest.json()) == {"1.1", "1.2", "1.3"}
    assert len(first.json()) == 2


def test_fuzzy_matching_is_not_done_and_the_answer_says_so(archive: TestClient) -> None:
    answer = archive.get("/dicomweb/studies", params={"fuzzymatching": "true", "PatientName": "Muller*"})
    assert answer.json() == []
    assert "fuzzymatching" in answer.headers["warning"]


def test_xml_is_one_part_for_each_match(archive: TestClient) -> None:
    accept = 'multipart/related; type="application/dicom+xml"'
    answer = archive.get("/dicomweb/studies", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(
        'multipart/related; type="application/dicom+xml"; boundary='
    )
    assert answer.content.count(b"<NativeDicomModel") == 3


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=20261345",
        "StudyDate=yesterday",
        "StudyDate=2026-2027",
        "NoSuchAttribute=1",
        "limit=-1",
        "limit=many",
        "offset=99999999999999",
        "RequestedProcedureCodeSequence.CodeValue=1",
        "PatientID=%00",
        "includefield=NoSuchAttribute",
        "&".join(f"PatientID={n}" for n in range(200)),
    ],
)
def test_a_question_that_makes_no_sense_is_a_bad_request(archive: TestClient, query: str) -> None:
    answer = archive.get(f"/dicomweb/studies?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("value", ["'", '"', "\\", "%27;--", "%", "_", "[", "(", "💩", "a" * 5000])
def test_odd_values_find_nothing_and_break_nothing(archive: TestClient, value: str) -> None:
    for tag in ("PatientID", "PatientName", "StationName", "00091001"):
        assert search(archive, "studies", **{tag: value}) == []


def test_an_answer_nobody_can_make_is_refused(archive: TestClient) -> None:
    assert archive.get("/dicomweb/studies", headers={"Accept": "text/html"}).status_code == 406


def test_png_images_are_no_dicom_instances(archive: TestClient) -> None:
    archive.post("/api/v1/studies", files=[("files", ("a.png", a_png(), "image/png"))])
    assert len(search(archive, "studies")) == 3
    assert len(search(archive, "instances")) == 4


def test_a_search_is_on_record_without_what_was_asked(archive: TestClient, session: Session) -> None:
    search(archive, "studies", PatientName="Müller*")
    row = session.scalars(select(AuditEvent).where(AuditEvent.action == "studies.searched")).one()
    assert row.details == {"level": "study", "found": 1}
