"""Who holds a study: taking it over, letting go of it twice, and what the page of who lost it says."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role, Scope
from app.records import Study
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, post, words
from tests.app.web.pages.test_signing import sign
from tests.builders import a_key, a_screened_study


def test_a_study_is_taken_over_and_its_reader_is_told_why(browser: Browser, session, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    page = get(bob, f"/studies/{study_id}")
    assert re.search(r'<details id="take-over" class="small">', page), "offered to whoever does not hold it"
    taken = post(bob, f"/studies/{study_id}/take-over", page, reason="She is <i>out</i>.")
    assert (taken.status_code, taken.headers["location"]) == (303, f"/studies/{study_id}")
    now = alice.get(f"/studies/{study_id}/now").json()
    assert now["mine"] is False
    assert re.fullmatch(r"bob took this study over from you at \d\d:\d\d: “She is <i>out</i>.”", now["lost"])
    theirs = get(alice, f"/studies/{study_id}")
    assert "bob took this study over from you" in words(theirs)
    assert "She is &lt;i&gt;out&lt;/i&gt;." in theirs
    assert bob.get(f"/studies/{study_id}/now").json()["lost"] is None
    assert "bob took the study over from alice" in words(get(bob, f"/studies/{study_id}"))


@pytest.mark.parametrize("reason", ["", " ", "x" * 501])
def test_a_take_over_without_a_reason_is_refused_in_words(
    browser: Browser, session, blobs: Blobs, reason: str
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    refused = post(bob, f"/studies/{study_id}/take-over", get(bob, f"/studies/{study_id}"), reason=reason)
    assert refused.status_code == 422
    assert "why you take the study over" in words(refused.text)
    assert session.get_one(Study, study_id).claimed_by_name == "alice"


def test_letting_go_twice_is_letting_go_once(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    page = get(alice, f"/studies/{study_id}")
    answers = [post(alice, f"/studies/{study_id}/release", page) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]


def test_a_second_confirmation_is_told_and_can_be_amended_in_one_step(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    stale = get(bob, f"/studies/{study_id}")
    sign(alice, study_id, action="correct", finding__pneumonia="absent")
    assert "alice signed at" in bob.get(f"/studies/{study_id}/now").json()["said"]
    refused = sign(bob, study_id, stale, action="confirm")
    assert refused.status_code == 409
    assert re.search(r"alice signed at \d\d:\d\d: pneumonia absent\.", words(refused.text))
    assert re.search(r'value="present" required checked', refused.text), "what he had confirmed"
    assert "Sign the amendment" in words(refused.text)


def test_a_script_that_sends_the_form_is_told_where_to_go(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{study_id}")
    fields = {
        name: re.search(rf'name="{name}" value="([^"]*)"', page).group(1)  # type: ignore[union-attr]
        for name in ("csrf_token", "revision", "shown_at")
    }
    answers = [
        alice.post(
            f"/studies/{study_id}/review",
            data=fields | {"action": "confirm"},
            headers={"Accept": "application/json"},
        )
        for _ in range(2)
    ]
    assert [answer.json() for answer in answers] == [{"next": f"/?signed={study_id}"}] * 2


def test_a_machine_takes_over_by_rest(client: TestClient, browser: Browser, session, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    with transaction() as other:
        headers = {"Authorization": f"Bearer {a_key(other, 'RIS', Scope.REVIEW)}"}
    address = f"/api/v1/studies/{study_id}/take-over"
    assert client.post(address, headers=headers, json={}).status_code == 422
    assert client.post(address, headers=headers, json={"reason": "Rota."}).status_code == 204
    assert session.get_one(Study, study_id).claimed_by_name == "RIS"
