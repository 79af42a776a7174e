"""Who holds a study: taking it over, letting go of it twice, and what the page of who lost it says."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role, Scope
from app.records import Study
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, hidden, post, words
from tests.app.web.pages.test_signing import sign
from tests.builders import a_key, a_screened_study


def test_a_study_is_taken_over_and_its_reader_is_told_why(browser: Browser, session, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    page = get(bob, f"/studies/{study_id}")
    assert re.search(r'<details id="take-over" class="small">', page), "offered to whoever does not hold it"
    since = hidden(page, "held_since")
    assert alice.get(f"/studies/{study_id}/now").json()["since"] == since
    taken = post(bob, f"/studies/{study_id}/take-over", page, reason="She is <i>out</i>.", held_since=since)
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
    page = get(bob, f"/studies/{study_id}")
    refused = post(
        bob, f"/studies/{study_id}/take-over", page, reason=reason, held_since=hidden(page, "held_since")
    )
    assert refused.status_code == 422
    assert "why you take the study over" in words(refused.text)
    assert f">{reason.strip()}</textarea>" in refused.text, "it is filled in again, to be mended"
    assert session.get_one(Study, study_id).claimed_by_name == "alice"


def test_a_take_over_of_a_hold_that_was_not_seen_is_refused_with_its_reason_kept(
    browser: Browser, session, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    carol = browser("carol", Role.RADIOLOGIST)
    address = f"/studies/{study_id}/take-over"
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    page = get(bob, f"/studies/{study_id}")
    seen = {"reason": "She is <i>out</i>.", "held_since": hidden(page, "held_since")}
    assert post(bob, address, page, **seen).status_code == 303
    theirs = get(carol, f"/studies/{study_id}")
    post(carol, address, theirs, reason="Mine.", held_since=hidden(theirs, "held_since"))
    again = post(bob, address, page, **seen)  # as a script does whose answer was lost
    assert again.status_code == 409
    assert "carol holds this study, and not since the moment that you were shown" in words(again.text)
    assert "She is &lt;i&gt;out&lt;/i&gt;.</textarea>" in again.text
    assert session.get_one(Study, study_id).claimed_by_name == "carol"
    meant = post(bob, address, again.text, **seen | {"held_since": hidden(again.text, "held_since")})
    assert meant.status_code == 303
    session.expire_all()
    assert session.get_one(Study, study_id).claimed_by_name == "bob"


def test_what_was_filled_in_stands_where_somebody_else_took_the_study_over(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    study_id = admission.study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    before, his = get(alice, f"/studies/{study_id}"), get(bob, f"/studies/{study_id}")
    seen = hidden(his, "held_since")
    post(bob, f"/studies/{study_id}/take-over", his, reason="Rota.", held_since=seen)
    box = {"image": str(admission.image_id), "finding": "pneumonia", "shape": "box"}
    box |= {"x": 1.0, "y": 1.0, "width": 9.0, "height": 9.0}
    said = {"finding__pneumonia": "uncertain", "comment": "Low <dose>.", "marks": json.dumps([box])}
    refused = sign(alice, study_id, before, action="correct", **said)
    assert refused.status_code == 409
    assert "What you had filled in is kept below." in words(refused.text)
    assert re.search(r'value="uncertain" required checked', refused.text)
    assert "Low &lt;dose&gt;.</textarea>" in refused.text
    drawn = re.search(r'name="marks" data-marks value="([^"]*)"', refused.text)
    assert drawn and json.loads(unescape(drawn.group(1))) == [box]
    assert "bob holds the study, so this cannot be signed now." in words(refused.text)
    [button] = re.findall(r"<button[^>]*data-signs[^>]*>", refused.text)
    assert "disabled" in button
    draft = alice.get(f"/studies/{study_id}/draft").json()["draft"]
    assert (draft["findings"], draft["comment"]) == ({"pneumonia": "uncertain"}, "Low <dose>.")
    assert draft["marks"] == [box]
    post(bob, f"/studies/{study_id}/release", get(bob, f"/studies/{study_id}"))
    again = sign(alice, study_id, refused.text, action="correct", **said)
    assert again.status_code == 303
    assert alice.get(f"/studies/{study_id}/draft").json()["draft"] is None


def test_a_form_that_does_not_say_which_hold_it_saw_takes_nothing(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    bob = browser("bob", Role.RADIOLOGIST)
    page = get(bob, f"/studies/{study_id}")
    for since in ("", "yesterday", "2026-11-22T10:00:00"):
        refused = post(bob, f"/studies/{study_id}/take-over", page, reason="Mine.", held_since=since)
        assert refused.status_code == 400


def test_a_refused_question_is_filled_in_again(browser: Browser, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    browser("bob", Role.RADIOLOGIST), browser("carol", Role.RADIOLOGIST)
    post(alice, f"/studies/{study_id}/claim", get(alice, f"/studies/{study_id}"))
    page = get(alice, f"/studies/{study_id}")
    carol = re.search(r'<option value="([^"]+)">[^<]*\(carol', page).group(1)  # type: ignore[union-attr]
    post(alice, f"/studies/{study_id}/release", page)
    refused = post(
        alice, f"/studies/{study_id}/second-opinion", page, colleague=carol, question="Is that <b>rib</b>?"
    )
    assert refused.status_code == 409
    assert "Claim the study or sign it first" in words(refused.text)
    assert "Is that &lt;b&gt;rib&lt;/b&gt;?</textarea>" in refused.text
    assert f'<option value="{carol}" selected>' in refused.text
    assert '<details id="ask" open>' in refused.text
    assert "What you had filled in is kept below." in words(refused.text)


def test_a_refused_adjudication_is_filled_in_again_with_its_comment_and_its_choice(
    browser: Browser, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    sign(alice, study_id, action="correct", finding__pneumonia="absent")
    sign(bob, study_id, action="correct", finding__pneumonia="present")
    carol = browser("carol", Role.RADIOLOGIST)
    stale = get(carol, f"/studies/{study_id}")
    sign(bob, study_id, action="correct", finding__pneumonia="uncertain")
    said = {"action": "correct", "finding__pneumonia": "uncertain", "comment": "Look at the <left> base."}
    for ticked in ({"adjudicates": "yes"}, {}):
        refused = sign(carol, study_id, stale, disputed="yes", **said, **ticked)
        assert refused.status_code == 409
        assert "Look at the &lt;left&gt; base.</textarea>" in refused.text
        assert re.search(r'value="uncertain" required checked', refused.text)
        box = re.search(r'<input type="checkbox" name="adjudicates"[^>]*>', refused.text)
        assert box and ("checked" in box.group()) == bool(ticked)


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
    stale = {"reason": "Rota.", "held_since": "2026-01-01T00:00:00Z"}
    refused = client.post(address, headers=headers, json=stale)
    assert (refused.status_code, refused.json()["held_by"]) == (409, "alice")
    since = client.get(f"/api/v1/studies/{study_id}", headers=headers).json()["held_since"]
    answer = client.post(address, headers=headers, json={"reason": "Rota.", "held_since": since})
    assert answer.status_code == 204
    assert session.get_one(Study, study_id).claimed_by_name == "RIS"
