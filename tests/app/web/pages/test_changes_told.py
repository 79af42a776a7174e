"""What has happened to a study since its page was made: told as it was, to whoever is refused by it."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands.intake import GivenMetadata
from app.domain.order import Priority
from app.domain.roles import Role
from app.domain.states import Outcome
from app.records import Study
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, post, words
from tests.app.web.pages.test_drafts import keep, kept
from tests.app.web.pages.test_signing import sign
from tests.app.web.pages.test_undo import undo_of
from tests.builders import a_dicom, a_screened_study, admit, an_admitted_study, claimed, image_read, record

ONE_STUDY = {"study_instance_uid": "1.2.826.0.1.3680043.8.498.94", "patient_id": "P94"}
ONE_PICTURE = ONE_STUDY | {"seed": 7, "sop_instance_uid": "1.2.826.0.1.3680043.8.498.94.1"}
SEX = {"PatientSex": "F"}


def refused(client: TestClient, study_id: UUID, page: str) -> Response:
    answer = sign(client, study_id, page, action="correct", finding__pneumonia="absent")
    assert answer.status_code == 409
    return answer


def told(answer: Response) -> str:
    """What the page that refuses says has changed."""
    found = re.search(r"What changed: (.*?) What you had filled in is kept below\.", words(answer.text))
    assert found, "it says nothing of what changed"
    return found.group(1)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"AccessionNumber": "A1"}, "An image came again with another header."),
        (SEX, "An image came again with another header: the sex."),
    ],
)
def test_another_header_is_told_as_such_and_is_no_new_image(
    browser: Browser, blobs: Blobs, tags: dict[str, str], said: str
) -> None:
    study_id = a_screened_study(blobs, **ONE_PICTURE).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    assert keep(alice, study_id, page).is_success
    an_admitted_study(blobs, **ONE_PICTURE, tags=tags)
    assert kept(alice, study_id)["changes"] == [said]
    assert told(refused(alice, study_id, page)) == said


def test_a_header_that_is_shown_again_is_told_too(browser: Browser, blobs: Blobs) -> None:
    first = a_dicom(**ONE_PICTURE)
    with transaction() as session:
        study_id = admit(session, blobs, first).study_id
        admit(session, blobs, a_dicom(**ONE_PICTURE, tags=SEX))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    with transaction() as session:
        assert not admit(session, blobs, first).created
    assert told(refused(alice, study_id, page)).startswith("An image came again with another header")


def test_a_new_picture_is_one_however_often_its_header_came(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs, **ONE_PICTURE).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    other = ONE_STUDY | {"seed": 8, "sop_instance_uid": "1.2.826.0.1.3680043.8.498.94.2"}
    an_admitted_study(blobs, **other)
    an_admitted_study(blobs, **other, tags=SEX)
    said = told(refused(alice, study_id, page))
    assert "1 new image arrived." in said
    assert "An image came again with another header: the sex." in said


def test_why_a_study_is_open_again_is_told_to_whoever_has_it_on_the_screen(
    browser: Browser, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs, **ONE_PICTURE).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    sign(alice, study_id, action="confirm")
    an_admitted_study(blobs, **ONE_PICTURE, tags=SEX)
    now = alice.get(f"/studies/{study_id}/now").json()
    assert (now["state"], now["said"]) == (
        "reopened",
        "After the study was signed, an image came again with another header: the sex.",
    )


def test_a_signature_that_was_taken_back_is_told(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    page = get(bob, f"/studies/{study_id}")
    signed = get(alice, sign(alice, study_id, action="confirm").headers["location"])
    undone = post(alice, undo_of(signed), signed)
    post(alice, f"/studies/{study_id}/release", get(alice, undone.headers["location"]))
    assert re.fullmatch(
        r"alice took back at \d\d:\d\d the signature of \d\d:\d\d\.", told(refused(bob, study_id, page))
    )


def test_an_order_that_became_stat_is_told(browser: Browser, blobs: Blobs) -> None:
    sent = a_dicom(**ONE_PICTURE)
    with transaction() as session:
        study_id = admit(session, blobs, sent).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    with transaction() as session:
        admit(session, blobs, sent, given=GivenMetadata(priority=Priority.STAT))
    assert told(refused(alice, study_id, page)) == "The order became STAT."


def test_that_the_network_read_is_told_only_where_it_did(browser: Browser, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)

    def told_after(**read: Any) -> str:
        page = get(alice, f"/studies/{admission.study_id}")
        with transaction() as session:
            session.execute(update(Study).values(screening_due=True))
            [study] = claimed(session)
            record(session, study, image_read(admission.image_id, **read))
        return told(refused(alice, admission.study_id, page))

    assert re.fullmatch(r"The network read it at \d\d:\d\d\.", told_after())
    assert re.fullmatch(
        r"The network tried at \d\d:\d\d to read it, and did not\.",
        told_after(outcome=Outcome.WITHHELD, reason="This is a lateral view."),
    )
