"""Marks on the images: what a review may carry, where it is kept, and what is refused."""

from __future__ import annotations

import json
from math import nan
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import review
from app.commands.review import Statement
from app.domain.marks import Mark, Shape
from app.domain.roles import Role, Scope
from app.errors import Unprocessable
from app.records import Review
from app.records.engine import transaction
from tests.app.web.conftest import KeyMaker
from tests.builders import a_screened_study, a_user, an_admitted_study, revision_of


def a_mark(image: UUID, **fields: Any) -> Mark:
    """A box on the builders' picture, which is 270 pixels wide and 320 high."""
    place = {"x": 10.0, "y": 20.5, "width": 260.0, "height": 299.5}
    return Mark(**{"image_id": image, "finding": "pneumonia", "shape": Shape.BOX} | place | fields)


def sign(study_id: UUID, *marks: Mark, confirm: bool = False, say: Statement = Statement.PRESENT) -> None:
    with transaction() as session:
        review.sign(
            session,
            study_id=study_id,
            by=a_user(session, f"reader-{uuid4()}", Role.RADIOLOGIST),
            revision=revision_of(study_id),
            confirm=confirm,
            findings={} if confirm else {"pneumonia": say},
            marks=marks,
        )


def stored() -> list[list[dict[str, Any]]]:
    with transaction() as session:
        return list(session.scalars(select(Review.marks).order_by(Review.sequence)))


@pytest.mark.parametrize("confirm", [True, False])
def test_a_confirmation_or_a_correction_keeps_its_marks(database: str, blobs: Blobs, confirm: bool) -> None:
    study = a_screened_study(blobs)
    ellipse = a_mark(study.image_id, shape=Shape.ELLIPSE, x=0.0, y=0.0, width=270.0, height=320.0)
    sign(study.study_id, a_mark(study.image_id), ellipse, confirm=confirm)
    [[box, whole]] = stored()
    assert box == {
        "image": str(study.image_id),
        "finding": "pneumonia",
        "shape": "box",
        "x": 10.0,
        "y": 20.5,
        "width": 260.0,
        "height": 299.5,
    }
    assert (whole["shape"], whole["width"], whole["height"]) == ("ellipse", 270.0, 320.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"x": -0.5}, "reaches beyond its image, which is 270 pixels wide and 320 high"),
        ({"width": 260.1}, "reaches beyond its image"),
        ({"height": 300.0}, "reaches beyond its image"),
        ({"width": 0.5}, "smaller than a pixel"),
        ({"width": -20.0}, "smaller than a pixel"),
        ({"x": nan}, "not a number"),
        ({"finding": "effusion"}, "says nothing"),
        ({"image_id": uuid4()}, "does not belong to this study"),
    ],
)
def test_a_mark_that_cannot_be_is_refused_and_nothing_is_signed(
    database: str, blobs: Blobs, fields: dict[str, Any], words: str
) -> None:
    study = a_screened_study(blobs)
    with pytest.raises(Unprocessable, match=words) as refused:
        sign(study.study_id, a_mark(study.image_id), a_mark(study.image_id, **fields))
    assert refused.value.extensions["mark"] == 1
    assert stored() == []


def test_a_mark_on_another_studys_image_is_refused(database: str, blobs: Blobs) -> None:
    study, other = a_screened_study(blobs), an_admitted_study(blobs)
    with pytest.raises(Unprocessable, match="does not belong"):
        sign(study.study_id, a_mark(other.image_id))


def test_what_is_absent_cannot_be_marked(database: str, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    with pytest.raises(Unprocessable, match="calls absent"):
        sign(study.study_id, a_mark(study.image_id), say=Statement.ABSENT)
    sign(study.study_id, a_mark(study.image_id), say=Statement.UNCERTAIN)
    assert len(stored()) == 1


def test_fifty_marks_are_taken_and_no_more(database: str, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    with pytest.raises(Unprocessable, match="at most 50"):
        sign(study.study_id, *[a_mark(study.image_id)] * 51)
    sign(study.study_id, *[a_mark(study.image_id)] * 50)
    assert len(stored()[0]) == 50


def test_marks_come_and_go_by_rest(client: TestClient, key: KeyMaker, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    client.headers.update(key(Scope.REVIEW))
    mark = a_mark(study.image_id).as_json()
    address = f"/api/v1/studies/{study.study_id}"
    body = {"revision": revision_of(study.study_id), "findings": {"pneumonia": "present"}, "marks": [mark]}
    outside = client.post(f"{address}/reviews", json=body | {"marks": [mark | {"x": 100}]})
    assert (outside.status_code, outside.json()["mark"]) == (422, 0)
    for wrong in ({"shape": "star"}, {"x": "left"}, {"image": "none"}, {"colour": "red"}, {"finding": ""}):
        assert client.post(f"{address}/reviews", json=body | {"marks": [mark | wrong]}).status_code == 422
    not_a_number = json.dumps(body).replace("20.5", "NaN")
    headers = {"Content-Type": "application/json"}
    assert client.post(f"{address}/reviews", content=not_a_number, headers=headers).status_code == 422
    assert client.post(f"{address}/reviews", json=body).status_code == 201
    [said] = client.get(address).json()["reviews"]
    assert said["marks"] == [mark]


def test_a_review_without_marks_has_none(client: TestClient, key: KeyMaker, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    client.headers.update(key(Scope.REVIEW))
    body = {"revision": revision_of(study.study_id), "confirm": True}
    assert client.post(f"/api/v1/studies/{study.study_id}/reviews", json=body).status_code == 201
    assert client.get(f"/api/v1/studies/{study.study_id}").json()["reviews"][0]["marks"] == []
