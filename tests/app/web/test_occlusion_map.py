"""The occlusion map over REST: asked for by a reader, made once, given to all, and only where it passed."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app import looks
from app.blobs import Blobs
from app.commands import explaining
from app.commands.explaining import NOT_READ
from app.domain.roles import Role, Scope
from app.records import AuditEvent, ImageReading
from app.records.engine import transaction
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_bundle, an_admitted_study, claimed, image_read, record

PASSED = {"passes": True, "failed": []}
FAILED = {"passes": False, "failed": ["The map does not sum to the logit."]}
CELLS = [[0.5, -0.25], [1.0, 0.0]]


def read(blobs: Blobs, occlusion: dict[str, Any] | None) -> tuple[UUID, UUID]:
    """A study whose activation map failed and whose occlusion map did what is given; and its image."""
    study_id = an_admitted_study(blobs).study_id
    explanations: dict[str, Any] = {"finding": "pneumonia", **FAILED}
    if occlusion is not None:
        explanations["occlusion_map"] = occlusion
    with transaction() as session:
        a_bundle(session, explanations=explanations)
        [study] = claimed(session)
        record(session, study, image_read(study.images[0].image_id))
    return study_id, study.images[0].image_id


def made() -> None:
    """What a worker does once it has the map."""
    with transaction() as session:
        reading = session.scalars(select(ImageReading.id)).one()
        explaining.keep(
            session, image_reading_id=reading, finding="pneumonia", cells=CELLS, runtime="openvino/CPU"
        )


@pytest.fixture
def reader(sign_in: SignIn) -> TestClient:
    return sign_in(Role.RADIOLOGIST)


def test_a_map_is_asked_for_waited_for_and_then_everybodys(
    reader: TestClient, client: TestClient, key: KeyMaker, blobs: Blobs
) -> None:
    study, image = read(blobs, PASSED)
    url = f"/api/v1/images/{image}/occlusion-map"
    assert reader.get(url).status_code == 404, "nobody has asked yet"
    asked = reader.post(url)
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    assert reader.get(url).json()["state"] == "waiting"
    made()
    said = reader.get(url).json()
    assert (said["state"], said["finding"], said["cells"]) == ("done", "pneumonia", CELLS)
    again = reader.post(url)
    assert (again.status_code, again.json()) == (200, said)
    client.cookies.clear()
    headers = key(Scope.READ)
    assert client.get(url, headers=headers).json()["cells"] == CELLS
    whole = client.get(f"/api/v1/studies/{study}", headers=headers).json()
    assert whole["images"][0]["findings"]["pneumonia"]["occlusion_map"] == CELLS
    assert "activation_map" not in whole["images"][0]["findings"]["pneumonia"]
    assert (whole["reading"]["map_withheld"], whole["reading"]["occlusion_map_withheld"]) == (None, None)
    with transaction() as session:
        views = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).all()
        assert {(view.study_id, view.details["via"]) for view in views} >= {(study, "map")}


@pytest.mark.parametrize(
    ("occlusion", "sentence"),
    [
        (None, "nobody has tested"),
        (FAILED, "failed its test. The map does not sum to the logit."),
        ({"passes": 1}, "failed"),
    ],
)
def test_a_map_that_did_not_pass_is_neither_made_nor_shown(
    reader: TestClient, blobs: Blobs, occlusion: dict[str, Any] | None, sentence: str
) -> None:
    study, image = read(blobs, occlusion)
    made()  # as if by a version that asked for less
    for refused in (
        reader.post(f"/api/v1/images/{image}/occlusion-map"),
        reader.get(f"/api/v1/images/{image}/occlusion-map"),
    ):
        assert refused.status_code == 409
        assert sentence in refused.json()["detail"]
    assert not looks.waiting()
    whole = reader.get(f"/api/v1/studies/{study}").json()
    assert "occlusion_map" not in whole["images"][0]["findings"]["pneumonia"]
    assert sentence in whole["reading"]["occlusion_map_withheld"]
    assert whole["reading"]["map_withheld"] is not None


def test_of_an_image_that_was_not_read_there_is_nothing_to_explain(reader: TestClient, blobs: Blobs) -> None:
    with transaction() as session:
        a_bundle(session)
    image = an_admitted_study(blobs).image_id
    refused = reader.post(f"/api/v1/images/{image}/occlusion-map")
    assert (refused.status_code, refused.json()["detail"]) == (409, NOT_READ)
    assert reader.post(f"/api/v1/images/{uuid4()}/occlusion-map").status_code == 404


def test_a_look_that_failed_is_told_and_can_be_asked_for_again(reader: TestClient, blobs: Blobs) -> None:
    _, image = read(blobs, PASSED)
    url = f"/api/v1/images/{image}/occlusion-map"
    reader.post(url)
    question = looks.next_question()
    assert question is not None
    looks.refuse(question, "The look broke.")
    said = reader.get(url).json()
    assert (said["state"], said["reason"]) == ("failed", "The look broke.")
    assert reader.post(url).status_code == 202
    assert reader.get(url).json()["state"] == "waiting"
