"""STOW-RS as PS3.18 10.5 has it."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.records import AuditEvent, Image, Study
from app.settings import settings
from tests.builders import a_dicom, a_png

BOUNDARY = "a-boundary"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def related(*instances: bytes, part_type: str = "application/dicom") -> bytes:
    parts = (
        f"--{BOUNDARY}\r\nContent-Type: {part_type}\r\n\r\n".encode() + data + b"\r\n" for data in instances
    )
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def store(
    client: TestClient, headers: dict[str, str], *instances: bytes, study: str = "", **more: str
) -> Any:
    return client.post(
        f"/dicomweb/studies{'/' + study if study else ''}",
        content=related(*instances),
        headers=headers | {"Content-Type": RELATED} | more,
    )


def answer_of(response: Any) -> Dataset:
    return Dataset.from_json(response.json())


def test_all_stored_is_200_with_a_retrieve_url_for_each(client: TestClient, sender: dict[str, str]) -> None:
    of_study = {"study_instance_uid": "1.2.3", "patient_id": "Ada"}
    response = store(client, sender, a_dicom(**of_study), a_dicom(**of_study))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/dicom+json"
    answer = answer_of(response)
    assert answer.RetrieveURL == "http://firstread.test/dicomweb/studies/1.2.3"
    assert len(answer.ReferencedSOPSequence) == 2
    assert "FailedSOPSequence" not in answer
    for item in answer.ReferencedSOPSequence:
        assert client.get(item.RetrieveURL, headers=sender).status_code == 200


def test_each_patient_of_a_shared_study_uid_is_led_to_their_own_study(
    client: TestClient, sender: dict[str, str]
) -> None:
    files = [a_dicom(study_instance_uid="1.2.3", patient_id=patient) for patient in ("Ada", "Bo")]
    answer = answer_of(store(client, sender, *files))
    assert "RetrieveURL" not in answer  # there is no one study
    for item in answer.ReferencedSOPSequence:
        address = str(item.RetrieveURL)
        assert "?study_id=" in address
        series = address.replace(f"/instances/{item.ReferencedSOPInstanceUID}", "")
        assert client.get(series, headers=sender).status_code == 200
    again = answer_of(store(client, sender, files[0]))
    assert client.get(again.RetrieveURL, headers=sender).status_code == 200


def test_the_same_instance_again_is_a_success_that_creates_nothing(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    data = a_dicom()
    first, again = store(client, sender, data), store(client, sender, data)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert session.scalar(select(func.count()).select_from(Image)) == 1


def test_some_stored_is_202_and_says_why_each_other_failed(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    report = a_report()
    response = store(client, sender, a_dicom(), report, b"no dicom at all")
    assert response.status_code == 202
    answer = answer_of(response)
    assert len(answer.ReferencedSOPSequence) == 1
    [failed] = answer.FailedSOPSequence
    assert failed.FailureReason == 0x0122
    assert failed.ReferencedSOPInstanceUID == "1.2.3.4.5"
    [other] = answer.OtherFailuresSequence
    assert other.FailureReason in (0xC000, 0x0122)
    refused = session.scalars(select(AuditEvent).where(AuditEvent.action == "refused")).all()
    assert len(refused) == 2


def test_none_stored_is_409(client: TestClient, sender: dict[str, str], session: Session) -> None:
    response = store(client, sender, a_report())
    assert response.status_code == 409
    assert answer_of(response).FailedSOPSequence[0].FailureReason == 0x0122
    assert session.scalar(select(func.count()).select_from(Study)) == 0
    assert not list((settings().blob_folder / "incoming").iterdir())


def test_an_instance_of_another_study_is_refused_with_a900(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    response = store(
        client, sender, a_dicom(study_instance_uid="1.2.3", sop_instance_uid="1.2.9"), study="1.2.4"
    )
    assert response.status_code == 409
    [failed] = answer_of(response).FailedSOPSequence
    assert failed.FailureReason == 0xA900
    assert failed.ReferencedSOPInstanceUID == "1.2.9"
    assert session.scalar(select(func.count()).select_from(Study)) == 0


def test_a_file_cut_off_before_its_pixels_is_refused_with_c000(
    client: TestClient, sender: dict[str, str]
) -> None:
    response = store(client, sender, a_dicom()[:600])
    assert response.status_code == 409
    answer = answer_of(response)
    items = [*answer.get("FailedSOPSequence", []), *answer.get("OtherFailuresSequence", [])]
    assert [item.FailureReason for item in items] == [0xC000]


def test_png_is_not_taken_by_stow(client: TestClient, sender: dict[str, str]) -> None:
    response = store(client, sender, a_png())
    assert response.status_code == 409
    assert answer_of(response).OtherFailuresSequence[0].FailureReason == 0xC000


def test_xml_is_answered_to_those_who_ask_for_it(client: TestClient, sender: dict[str, str]) -> None:
    response = store(client, sender, a_dicom(), Accept="application/dicom+xml")
    assert response.headers["content-type"] == "application/dicom+xml"
    root = ET.fromstring(response.content)
    keywords = {element.get("keyword") for element in root.iter() if element.get("keyword")}
    assert {"ReferencedSOPSequence", "RetrieveURL"} <= keywords


def test_an_answer_nobody_can_make_is_refused_before_anything_is_stored(
    client: TestClient, sender: dict[str, str], session: Session
) -> None:
    assert store(client, sender, a_dicom(), Accept="text/html").status_code == 406
    assert session.scalar(select(func.count()).select_from(Study)) == 0


def test_a_single_instance_may_come_without_multipart(client: TestClient, sender: dict[str, str]) -> None:
    response = client.post(
        "/dicomweb/studies", content=a_dicom(), headers=sender | {"Content-Type": "application/dicom"}
    )
    assert response.status_code == 200
    assert len(answer_of(response).ReferencedSOPSequence) == 1


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/json", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', 415),
        ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="application/dicom"', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 300}', 400),
        ("", 415),
    ],
)
def test_other_media_types_are_refused(
    client: TestClient, sender: dict[str, str], content_type: str, status: int
) -> None:
    headers = sender | ({"Content-Type": content_type} if content_type else {})
    response = client.post("/dicomweb/studies", content=related(a_dicom()), headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        f"--{BOUNDARY}\r\n".encode(),
        f"--{BOUNDARY}--\r\n".encode(),
        related(a_dicom())[:-30],
        related(a_dicom()).replace(b"\r\nContent-Type", b"\nContent-Type"),
        f"--{BOUNDARY}\r\n".encode() + b"X: " + b"y" * 100_000 + b"\r\n\r\n\r\n" + f"--{BOUNDARY}--".encode(),
    ],
    ids=["empty", "no boundary", "only a boundary", "no parts", "cut off", "bare newlines", "endless header"],
)
def test_a_damaged_multipart_is_a_bad_request(
    client: TestClient, sender: dict[str, str], body: bytes
) -> None:
    response = client.post("/dicomweb/studies", content=body, headers=sender | {"Content-Type": RELATED})
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("study", ["a%25b", "-1.2", ".1.2", "1" * 65, "1.2%00", "1.2'--"])
def test_an_address_without_a_uid_is_a_bad_request(
    client: TestClient, sender: dict[str, str], study: str
) -> None:
    assert store(client, sender, a_dicom(), study=study).status_code == 400


def test_a_compressed_body_is_refused(client: TestClient, sender: dict[str, str]) -> None:
    assert store(client, sender, a_dicom(), **{"Content-Encoding": "gzip"}).status_code == 415


def test_an_instance_that_is_too_large_fails_alone(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_MAX_FILE_BYTES", "200000")
    settings.cache_clear()
    response = store(client, sender, a_dicom(), a_dicom(rows=640, columns=540))
    assert response.status_code == 202
    assert answer_of(response).OtherFailuresSequence[0].FailureReason == 0xA700


def a_report() -> bytes:
    """A structured report: readable DICOM without a picture."""
    report = Dataset()
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID = "1.2.3.4.5"
    report.StudyInstanceUID = "1.2.3.4"
    report.SeriesInstanceUID = "1.2.3.4.1"
    report.Modality = "SR"
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, report, enforce_file_format=True)
    return buffer.getvalue()
