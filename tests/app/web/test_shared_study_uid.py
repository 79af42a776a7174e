"""One StudyInstanceUID, two patients: no address mixes them, and each is found."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.records import AuditEvent
from tests.app.web.instances import an_instance, parts_of
from tests.app.web.test_stow import store
from tests.builders import a_dicom

# One StudyInstanceUID, two patients


@pytest.fixture
def shared(archive: TestClient) -> dict[str, str]:
    """Study 1.1 of Ada and of Bo, with a series each; the ids of their studies by PatientID."""
    for number, patient in enumerate(("Ada", "Bo"), start=1):
        data = an_instance(
            patient_id=patient, series_instance_uid=f"1.1.{number}", sop_instance_uid=f"1.1.{number}.1"
        )
        assert store(archive, {}, data).status_code == 200
    studies = archive.get("/api/v1/studies", params={"study_instance_uid": "1.1"}).json()["studies"]
    return {study["patient"]["id"]: study["id"] for study in studies}


def patients_of(models: Any) -> list[str]:
    return [model["00100020"]["Value"][0] for model in models]


@pytest.mark.parametrize("path", ["", "/metadata", "/series", "/instances"])
def test_an_address_that_would_mix_two_patients_is_a_conflict_that_says_how_to_ask(
    archive: TestClient, shared: dict[str, str], path: str
) -> None:
    answer = archive.get(f"/dicomweb/studies/1.1{path}")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/shared-study-uid"
    assert "study_id" in problem["detail"]
    assert {study["id"] for study in problem["studies"]} == set(shared.values())
    assert "Ada" not in answer.text
    for study in problem["studies"]:
        assert archive.get(study["url"]).json()["id"] == study["id"]
        assert archive.get(study["retrieve"]).status_code == 200


def test_rest_and_stow_lead_to_the_study_that_is_meant(archive: TestClient, shared: dict[str, str]) -> None:
    for study_id in shared.values():
        address = archive.get(f"/api/v1/studies/{study_id}").json()["dicomweb_url"]
        assert address == f"/dicomweb/studies/1.1?study_id={study_id}"
        assert archive.get(address).status_code == 200
    for patient in ("Third", "Ada"):
        stored = archive.post(
            "/dicomweb/studies",
            content=a_dicom(study_instance_uid="1.1", patient_id=patient),
            headers={"Content-Type": "application/dicom"},
        ).json()
        instance = stored["00081199"]["Value"][0]["00081190"]["Value"][0]
        for address in (stored["00081190"]["Value"][0], instance):
            assert patients_of(archive.get(f"{address.replace('?', '/metadata?')}").json()) in (
                [patient],
                [patient] * 2,
            )


def test_study_id_says_whose_study_is_meant(archive: TestClient, shared: dict[str, str]) -> None:
    for patient, study_id in shared.items():
        asked = {"study_id": study_id}
        assert patients_of(archive.get("/dicomweb/studies/1.1/metadata", params=asked).json()) == [patient]
        [(_, body)] = parts_of(archive.get("/dicomweb/studies/1.1", params=asked))
        assert dcmread(io.BytesIO(body)).PatientID == patient
        assert len(archive.get("/dicomweb/studies/1.1/series", params=asked).json()) == 1
        assert len(archive.get("/dicomweb/studies/1.1/instances", params=asked).json()) == 1
    assert archive.get("/dicomweb/studies/1.1", params={"study_id": "x"}).status_code == 400


def test_a_search_lists_each_patients_study_and_leads_to_it(
    archive: TestClient, shared: dict[str, str]
) -> None:
    found = archive.get("/dicomweb/studies", params={"StudyInstanceUID": "1.1"}).json()
    assert sorted(patients_of(found)) == ["Ada", "Bo"]
    for level in ("studies", "series", "instances"):
        for model in archive.get(f"/dicomweb/{level}", params={"StudyInstanceUID": "1.1"}).json():
            address = model["00081190"]["Value"][0]
            assert address.endswith(f"?study_id={shared[patients_of([model])[0]]}")
            answer = archive.get(address)
            [(_, body)] = parts_of(answer)
            assert dcmread(io.BytesIO(body)).PatientID == patients_of([model])[0]


def test_a_series_or_instance_of_one_patient_is_found_under_a_shared_study_uid(
    archive: TestClient, shared: dict[str, str]
) -> None:
    [ada] = archive.get("/dicomweb/studies/1.1/series/1.1.1/metadata").json()
    assert patients_of([ada]) == ["Ada"]
    assert archive.get("/dicomweb/studies/1.1/series/1.1.2/instances/1.1.2.1/rendered").status_code == 200
    assert len(archive.get("/dicomweb/studies/1.1/series", params={"PatientID": "Bo"}).json()) == 1


def test_a_refused_mixture_is_no_look_at_a_study(
    archive: TestClient, shared: dict[str, str], session: Session
) -> None:
    assert archive.get("/dicomweb/studies/1.1").status_code == 409
    looks = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all()
    assert all(look.details["via"] == "api" for look in looks)  # those of the fixture
