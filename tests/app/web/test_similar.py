"""Similar confirmed cases over REST, and the small pictures they are known by."""

from __future__ import annotations

import io
from uuid import UUID

import pytest
from PIL import Image as Picture
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.roles import Role, Scope
from app.records import AuditEvent, Image
from app.records.engine import transaction
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_screened_study, a_signed_study, towards


@pytest.fixture
def asked(client: TestClient, blobs: Blobs) -> UUID:
    return a_screened_study(blobs, embedding=towards(0), patient_id="asked").study_id


def events(action: str) -> list[AuditEvent]:
    with transaction() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.action == action)))


def test_cases_come_with_their_verdicts_and_without_names(
    client: TestClient, key: KeyMaker, asked: UUID, blobs: Blobs
) -> None:
    near = a_signed_study(blobs, embedding=towards(10), patient_id="near", say=Statement.ABSENT)
    far = a_signed_study(blobs, embedding=towards(60), patient_id="far")
    answer = client.get(f"/api/v1/studies/{asked}/similar", headers=key(Scope.REVIEW))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert [case["study"] for case in said["cases"]] == [str(near), str(far)]
    first = said["cases"][0]
    assert (first["verdict"], first["readers"], first["reader_names"]) == ("corrected", 1, None)
    assert first["findings"] == [
        {
            "name": "pneumonia",
            "reader": "absent",
            "verdict": "corrected",
            "probability": 0.9,
            "lane": "rule-in",
        }
    ]
    assert "dr.lee" not in answer.text
    assert "patient" not in answer.text
    one = client.get(f"/api/v1/studies/{asked}/similar?size=1", headers=key(Scope.REVIEW)).json()
    assert [case["study"] for case in one["cases"]] == [str(near)]


def test_who_may_read_the_trail_may_know_the_readers(
    client: TestClient, sign_in: SignIn, asked: UUID, blobs: Blobs
) -> None:
    a_signed_study(blobs, embedding=towards(10), patient_id="near")
    sign_in(Role.RADIOLOGIST, Role.AUDITOR)
    [case] = client.get(f"/api/v1/studies/{asked}/similar").json()["cases"]
    assert case["reader_names"] == ["dr.lee"]


def test_asking_and_every_case_that_was_seen_is_on_record(
    client: TestClient, key: KeyMaker, asked: UUID, blobs: Blobs
) -> None:
    cases = {a_signed_study(blobs, embedding=towards(turn), patient_id=f"p{turn}") for turn in (10, 20)}
    client.get(f"/api/v1/studies/{asked}/similar", headers=key(Scope.REVIEW))
    [question] = events("study.similar-asked")
    assert (question.study_id, question.details["cases"]) == (asked, 2)
    views = events("study.viewed")
    assert {view.study_id for view in views} == cases
    assert {view.details["via"] for view in views} == {"similar"}


def test_where_there_is_no_case_a_sentence_says_why(client: TestClient, key: KeyMaker, asked: UUID) -> None:
    said = client.get(f"/api/v1/studies/{asked}/similar", headers=key(Scope.REVIEW)).json()
    assert said["cases"] == []
    assert "signed yet" in said["why_none"]


def test_a_wrong_size_or_study_is_a_problem(client: TestClient, key: KeyMaker, asked: UUID) -> None:
    headers = key(Scope.REVIEW)
    for size in ("0", "25", "many"):
        assert client.get(f"/api/v1/studies/{asked}/similar?size={size}", headers=headers).status_code == 422
    unknown = client.get(f"/api/v1/studies/{UUID(int=1)}/similar", headers=headers)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/not-found")


def test_a_thumbnail_is_small_with_and_without_a_preview(
    client: TestClient, key: KeyMaker, asked: UUID, blobs: Blobs
) -> None:
    with transaction() as session:
        image = session.scalars(select(Image).where(Image.study_id == asked)).one()
    headers = key(Scope.READ)
    answer = client.get(f"/api/v1/images/{image.id}/thumbnail", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert max(Picture.open(io.BytesIO(answer.content)).size) == 192
    other = a_screened_study(blobs).study_id
    held = io.BytesIO()
    Picture.new("L", (1024, 700), 90).save(held, "JPEG")
    with transaction() as session:
        with_preview = session.scalars(select(Image).where(Image.study_id == other)).one()
        with_preview.preview_sha256 = blobs.put(held.getvalue())
    answer = client.get(f"/api/v1/images/{with_preview.id}/thumbnail", headers=headers)
    assert Picture.open(io.BytesIO(answer.content)).size == (192, 131)
