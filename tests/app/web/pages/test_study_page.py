"""The study page: what it shows, and the forms that sign."""

from __future__ import annotations

from html import unescape
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import explaining
from app.domain.roles import Role
from app.records import AuditEvent, ImageReading, Review, Study, User
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, pictures, post, words
from tests.app.web.pages.test_signing import sign
from tests.builders import (
    a_screened_study,
    a_study_with_a_lateral,
    an_admitted_study,
)
from tests.explainable import OCCLUSION_PASSED


def test_the_page_shows_reading_bundle_and_use_and_leaves_a_trace(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs, probability=0.93, tags={"PatientName": "Doe^Jane"})
    page = get(browser("alice", Role.RADIOLOGIST), f"/studies/{admission.study_id}")
    text = words(page)
    assert "Doe, Jane" in text
    assert "Pneumonia likely 0.93" in text
    assert "Network: pneumonia likely (0.93). Placed as if it had arrived 8 h earlier." in text
    assert "test network 1, read" in text
    assert "Confirm and sign pneumonia present" in text, "the reader sees what is confirmed"
    assert "For prioritisation only. Not a diagnosis; not a cleared medical device." in text
    viewed = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.viewed")).one()
    assert (viewed.actor_name, viewed.study_id) == ("alice", admission.study_id)


def test_the_viewer_is_told_of_the_image_with_its_overlays_and_heat_map(
    browser: Browser, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs, tags={"ViewPosition": "AP", "ImageLaterality": "L"})
    [picture] = pictures(get(browser("alice", Role.RADIOLOGIST), f"/studies/{admission.study_id}"))
    assert picture["preview"] == f"/api/v1/images/{admission.image_id}/preview"
    assert picture["pixels"] == f"/api/v1/images/{admission.image_id}/pixels"
    assert (picture["rows"], picture["columns"]) == (320, 270)
    assert picture["overlay"]["topLeft"][2] == "3 y"
    assert picture["overlay"]["bottomLeft"][0] == "AP · left"
    [heat] = picture["heat"]
    assert heat["finding"] == "pneumonia"
    assert len(heat["map"]) == len(heat["map"][0]) == 7
    assert picture["notRead"] is None


@pytest.mark.parametrize(
    ("form", "status", "fields"),
    [
        ("review", 409, {"action": "confirm", "revision": "0"}),
        ("review", 422, {"action": "correct", "revision": "{revision}"}),
        ("take-over", 422, {"reason": "", "held_since": "2026-11-22T10:00:00+00:00"}),
        ("second-opinion", 409, {"colleague": "{bob}", "question": "A rib?"}),
        ("reviews/{review}/undo", 403, {}),
    ],
)
def test_the_page_of_a_refused_form_is_a_view_unless_the_study_was_just_seen(
    browser: Browser, session, blobs: Blobs, form: str, status: int, fields: dict[str, str]
) -> None:
    study_id = a_screened_study(blobs, tags={"PatientName": "Doe^Jane"}).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    theirs = get(bob, f"/studies/{study_id}")
    if "take-over" in form or "undo" in form:
        post(bob, f"/studies/{study_id}/claim", theirs)
    if "undo" in form:
        sign(bob, study_id, action="confirm")
    known = {
        "bob": session.scalars(select(User.id).where(User.username == "bob")).one(),
        "review": session.scalar(select(Review.id)),
        "revision": session.get_one(Study, study_id).revision,
    }
    address = f"/studies/{study_id}/{form.format(**known)}"
    fields = {name: value.format(**known) for name, value in fields.items()}
    for _ in range(2):  # sent once more it is the same look
        refused = post(alice, address, get(alice, "/"), **fields)
        assert refused.status_code == status, words(refused.text)
        assert "Doe, Jane" in words(refused.text)
        seen = select(AuditEvent).where(AuditEvent.action == "study.viewed", AuditEvent.actor_name == "alice")
        [view] = session.scalars(seen).all()
        assert (view.study_id, view.details) == (study_id, {"via": "page"})


@pytest.mark.parametrize(
    ("explanations", "sentence"),
    [
        (None, "The heat map is withheld: nobody has tested whether"),
        (
            {"passes": False, "finding": "pneumonia", "failed": ["The map does not sum to the logit."]},
            "on held-out radiographs the bundle's map failed its test. The map does not sum to the logit.",
        ),
    ],
)
def test_a_map_that_failed_or_was_never_tested_is_withheld_and_the_page_says_so(
    browser: Browser, blobs: Blobs, explanations: dict | None, sentence: str
) -> None:
    admission = a_screened_study(blobs, explanations=explanations)
    page = get(browser("alice", Role.RADIOLOGIST), f"/studies/{admission.study_id}")
    assert sentence in words(page)
    [picture] = pictures(page)
    assert picture["heat"] == []
    assert picture["heatFrom"] is None
    assert '"kind"' not in page
    assert "Pneumonia likely 0.90" in words(page), "the probability is still said"


def test_an_occlusion_map_is_offered_where_it_passed_and_shown_once_it_is_made(
    browser: Browser, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs, explanations=OCCLUSION_PASSED)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    assert "withheld" not in words(page)
    [picture] = pictures(page)
    assert picture["heat"] == []
    assert picture["heatFrom"] == f"/api/v1/images/{admission.image_id}/occlusion-map"
    with transaction() as session:
        reading = session.scalars(select(ImageReading.id)).one()
        explaining.keep(session, image_reading_id=reading, finding="pneumonia", cells=[[1.0]], runtime="test")
    [picture] = pictures(get(alice, f"/studies/{admission.study_id}"))
    assert picture["heat"] == [{"finding": "pneumonia", "kind": "occlusion_map", "map": [[1.0]]}]


def test_nothing_is_said_of_the_map_where_it_is_shown_or_nothing_was_read(
    browser: Browser, blobs: Blobs
) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    for admission in (a_screened_study(blobs), an_admitted_study(blobs)):
        assert "withheld" not in words(get(alice, f"/studies/{admission.study_id}"))


def test_a_data_block_cannot_be_left_by_a_header(browser: Browser, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs, tags={"PatientName": "</script><script>alert(1)</script>"})
    page = get(browser("alice", Role.RADIOLOGIST), f"/studies/{admission.study_id}")
    assert "<script>alert" not in page
    assert "</script><script>alert(1)</script>" in pictures(page)[0]["overlay"]["topLeft"][0]


def test_the_second_image_and_its_fate_are_shown(browser: Browser, blobs: Blobs) -> None:
    first, _ = a_study_with_a_lateral(blobs)
    page = get(browser("alice", Role.RADIOLOGIST), f"/studies/{first.study_id}")
    assert [picture["state"] for picture in pictures(page)] == ["read by the network", "not read"]
    assert "1 of 2 images not read by the network: This is a lateral view." in words(page)


def test_priors_and_conflicts_are_shown_with_the_study(browser: Browser, blobs: Blobs) -> None:
    before = a_screened_study(blobs, patient_id="P7", tags={"StudyDescription": "Chest of last year"})
    present = a_screened_study(blobs, patient_id="P7", study_instance_uid="1.2.3.4")
    an_admitted_study(blobs, patient_id="SOMEBODY ELSE", study_instance_uid="1.2.3.4")
    page = get(browser("alice", Role.RADIOLOGIST), f"/studies/{present.study_id}")
    assert f'href="/studies/{before.study_id}"' in page
    assert "Chest of last year" in page
    assert "Another patient has a study with the same StudyInstanceUID." in unescape(page)


def test_a_study_that_is_not_there_is_a_page_that_says_so(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    assert alice.get(f"/studies/{uuid4()}", headers=ACCEPT).status_code == 404
    assert alice.get("/studies/none", headers=ACCEPT).status_code == 404
