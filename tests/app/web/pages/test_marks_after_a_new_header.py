"""Marks drawn before a picture came again with another header: they stand on the picture that is shown."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import Review
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, pictures, post
from tests.app.web.pages.test_drafts import keep, kept
from tests.app.web.pages.test_signing import sign
from tests.app.web.pages.test_undo import undo_of
from tests.builders import a_screened_study, an_admitted_study

ONE_PICTURE = {
    "seed": 7,
    "study_instance_uid": "1.2.826.0.1.3680043.8.498.93",
    "sop_instance_uid": "1.2.826.0.1.3680043.8.498.93.1",
    "patient_id": "P93",
}


def on(image: UUID) -> str:
    """A mark as a form holds it."""
    place = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0}
    return json.dumps([{"image": str(image), "finding": "pneumonia", "shape": "box", **place}])


def comes_again(blobs: Blobs, accession: str = "A1") -> UUID:
    return an_admitted_study(blobs, **ONE_PICTURE, tags={"AccessionNumber": accession}).image_id


def images_in(marks: str) -> list[str]:
    return [mark["image"] for mark in json.loads(unescape(marks))]


def filled_in(page: str) -> list[str]:
    """The images that the marks of the correction are on."""
    return images_in(re.findall(r'name="marks" data-marks value="([^"]*)"', page)[-1])


def test_what_was_signed_stands_on_the_picture_that_is_shown_and_is_amended_there(
    browser: Browser, session: Any, blobs: Blobs
) -> None:
    study = a_screened_study(blobs, **ONE_PICTURE)
    alice = browser("alice", Role.RADIOLOGIST)
    fields = {"action": "correct", "finding__pneumonia": "present"}
    assert sign(alice, study.study_id, **fields, marks=on(study.image_id)).status_code == 303
    comes_again(blobs)
    newest = str(comes_again(blobs, "A2"))
    page = get(alice, f"/studies/{study.study_id}")
    assert pictures(page)[0]["id"] == newest
    assert filled_in(page) == [newest]
    assert images_in(re.search(r"data-show-marks='([^']*)'", page).group(1)) == [newest]
    for _ in range(2):
        amended = sign(alice, study.study_id, page, **fields, comment="Left.", marks=on(study.image_id))
        assert amended.status_code == 303, "also the second press, which signs nothing"
    reviews = session.scalars(select(Review).order_by(Review.sequence)).all()
    assert [review.marks[0]["image"] for review in reviews] == [str(study.image_id), newest]


def test_a_draft_and_what_is_refused_come_back_on_the_picture_that_is_shown(
    browser: Browser, blobs: Blobs
) -> None:
    study = a_screened_study(blobs, **ONE_PICTURE)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study.study_id}")
    assert keep(
        alice, study.study_id, page, finding__pneumonia="present", marks=on(study.image_id)
    ).is_success
    newer = str(comes_again(blobs))
    assert [mark["image"] for mark in kept(alice, study.study_id)["marks"]] == [newer]
    fields = {"action": "correct", "finding__pneumonia": "present", "marks": on(study.image_id)}
    refused = sign(alice, study.study_id, page, **fields)
    assert refused.status_code == 409
    assert filled_in(refused.text) == [newer]


def test_what_was_taken_back_is_filled_in_on_the_picture_that_is_shown(
    browser: Browser, blobs: Blobs
) -> None:
    study = a_screened_study(blobs, **ONE_PICTURE)
    alice = browser("alice", Role.RADIOLOGIST)
    fields = {"action": "correct", "finding__pneumonia": "present", "marks": on(study.image_id)}
    page = get(alice, sign(alice, study.study_id, **fields).headers["location"])
    assert post(alice, undo_of(page), page).status_code == 303
    newer = str(comes_again(blobs))
    assert filled_in(get(alice, f"/studies/{study.study_id}")) == [newer]


def test_marks_that_cannot_be_read_are_refused_as_they_came(browser: Browser, blobs: Blobs) -> None:
    study = a_screened_study(blobs, **ONE_PICTURE)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study.study_id}")
    said = {"revision": hidden(page, "revision"), "action": "correct", "finding__pneumonia": "present"}
    refused = post(alice, f"/studies/{study.study_id}/review", page, **said, marks="[no")
    assert refused.status_code == 422
    assert 'data-marks value="[no"' in refused.text
    assert alice.get(f"/studies/{study.study_id}/draft", headers=ACCEPT).json()["draft"] is None
