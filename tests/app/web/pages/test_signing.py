"""The forms of the study page: they sign once, what the reader saw, and nothing that makes no sense."""

from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.domain.roles import Role
from app.domain.states import Outcome, State
from app.records import Review, Study
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, pictures, post, words
from tests.builders import (
    a_bundle,
    a_screened_study,
    an_admitted_study,
    claimed,
    image_read,
    record,
)


def sign(client: TestClient, study_id, page: str | None = None, **fields):
    """The confirm or correct form of the page as it was loaded."""
    page = page or get(client, f"/studies/{study_id}")
    if fields.get("action") == "confirm" and 'name="reading"' in page:
        fields = {"reading": hidden(page, "reading"), **fields}
    return post(
        client,
        f"/studies/{study_id}/review",
        page,
        **{"revision": hidden(page, "revision"), "shown_at": hidden(page, "shown_at"), **fields},
    )


def test_confirming_signs_and_leads_to_the_next_study(browser: Browser, session, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    done = sign(alice, first.study_id, action="confirm")
    assert done.headers["location"] == f"/studies/{second.study_id}?signed={first.study_id}"
    review = session.scalars(select(Review)).one()
    assert (review.verdict, review.findings, review.reviewer_name) == (
        "confirmed",
        {"pneumonia": "present"},
        "alice",
    )
    last = sign(alice, second.study_id, action="confirm")
    assert last.headers["location"] == f"/?signed={second.study_id}"
    assert "Nothing else is ready to be read." in words(get(alice, last.headers["location"]))


def test_a_correction_is_stored_with_what_the_network_had_said(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs, probability=0.93)
    alice = browser("alice", Role.RADIOLOGIST)
    comment = "Motion. <b>No</b> consolidation."
    sign(alice, admission.study_id, action="correct", finding__pneumonia="absent", comment=comment)
    review = session.scalars(select(Review)).one()
    assert (review.verdict, review.findings, review.comment) == (
        "corrected",
        {"pneumonia": "absent"},
        comment,
    )
    assert review.network_findings["pneumonia"]["probability"] == 0.93
    page = get(alice, f"/studies/{admission.study_id}")
    assert "&lt;b&gt;No&lt;/b&gt;" in page
    assert "<b>No</b>" not in page
    assert "alice corrected and signed" in words(page)
    assert "The network had said: pneumonia likely (0.93)." in words(page)


def test_amendments_stand_above_what_they_amend(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    sign(alice, admission.study_id, action="confirm")
    page = get(bob, f"/studies/{admission.study_id}")
    assert re.search(r'value="present" required checked', page), "an amendment begins with what stands"
    done = sign(
        bob, admission.study_id, page, action="correct", finding__pneumonia="uncertain", comment="Low dose."
    )
    assert done.headers["location"] == f"/studies/{admission.study_id}?signed={admission.study_id}"
    history = words(get(bob, f"/studies/{admission.study_id}")).split("History", 1)[1]
    assert history.index("bob amended") < history.index("alice confirmed and signed")
    assert session.get_one(Study, admission.study_id).state == State.AMENDED


def test_a_press_repeated_does_its_work_once(browser: Browser, session, blobs: Blobs) -> None:
    admission, following = a_screened_study(blobs), a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    fields = {"action": "correct", "finding__pneumonia": "absent", "comment": "Once."}
    answers = [sign(alice, admission.study_id, page, **fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert {answer.headers["location"] for answer in answers} == {
        f"/studies/{following.study_id}?signed={admission.study_id}"
    }
    assert len(session.scalars(select(Review)).all()) == 1


def test_a_press_repeated_is_known_again_whatever_became_of_the_study(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    fields = {"action": "correct", "finding__pneumonia": "absent", "comment": "Once."}
    sign(alice, admission.study_id, page, **fields)
    sign(bob, admission.study_id, action="correct", finding__pneumonia="present")
    again = sign(alice, admission.study_id, page, **fields)
    assert again.status_code == 303
    assert len(session.scalars(select(Review)).all()) == 2
    image_id = str(admission.image_id)
    box = {"image": image_id, "finding": "pneumonia", "shape": "box", "x": 1, "y": 1, "width": 9, "height": 9}
    other = sign(
        alice,
        admission.study_id,
        page,
        **(fields | {"finding__pneumonia": "present", "marks": json.dumps([box])}),
    )
    assert other.status_code == 409, "another answer is another press"


def test_a_confirmation_of_what_the_network_says_no_more_is_not_filled_in(
    browser: Browser, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs, probability=0.1)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    with transaction() as later:
        later.execute(update(Study).values(screening_due=True))
    with transaction() as later:
        [study] = claimed(later)
        record(later, study, image_read(admission.image_id, probability=0.97))
    refused = sign(alice, admission.study_id, page, action="confirm")
    assert refused.status_code == 409
    assert "nothing was signed" in refused.text
    assert not re.search(r'value="(present|absent|uncertain)" required checked', refused.text)


def test_a_confirmation_that_contradicts_what_is_filled_in_signs_nothing_and_keeps_it(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    said = {"finding__pneumonia": "absent", "comment": "I see none."}
    refused = sign(alice, admission.study_id, action="confirm", **said)
    assert refused.status_code == 422
    assert "agrees with the network in every finding" in words(refused.text)
    assert re.search(r'value="absent" required checked', refused.text)
    assert "I see none.</textarea>" in refused.text
    assert '<details id="correction" open>' in refused.text
    assert session.scalars(select(Review)).all() == []


def test_a_confirmation_is_stored_with_its_comment_once_however_often_it_is_sent(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    said = {"action": "confirm", "finding__pneumonia": "present", "comment": "Behind the heart."}
    answers = [sign(alice, admission.study_id, page, **said) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    review = session.scalars(select(Review)).one()
    assert (review.verdict, review.comment) == ("confirmed", "Behind the heart.")
    for other in ({"finding__pneumonia": "absent"}, {"comment": "Something else."}):
        answer = sign(alice, admission.study_id, page, **(said | other))
        assert answer.status_code == 409, "another answer is another press"


def test_a_refused_confirmation_keeps_answers_and_comment_of_its_reader(
    browser: Browser, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    before = get(bob, f"/studies/{admission.study_id}")
    sign(alice, admission.study_id, action="confirm")
    said = {"finding__pneumonia": "uncertain", "comment": "Low dose."}
    refused = sign(bob, admission.study_id, before, action="confirm", **said)
    assert refused.status_code == 409
    assert "What you had filled in is kept below." in words(refused.text)
    assert re.search(r'value="uncertain" required checked', refused.text)
    assert "Low dose.</textarea>" in refused.text
    alone = sign(bob, admission.study_id, before, action="confirm", comment="Low dose.")
    assert re.search(r'value="present" required checked', alone.text), "what the confirmation said"
    assert "Low dose.</textarea>" in alone.text


def test_a_stale_page_is_told_what_changed_and_keeps_the_comment(
    browser: Browser, session, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    stale = get(bob, f"/studies/{admission.study_id}")
    sign(alice, admission.study_id, action="confirm")
    refused = sign(
        bob, admission.study_id, stale, action="correct", finding__pneumonia="absent", comment="I see none."
    )
    assert refused.status_code == 409
    text = words(refused.text)
    assert "nothing was signed" in text
    assert re.search(r"What changed: alice signed at \d\d:\d\d: pneumonia present\.", text)
    assert "I see none.</textarea>" in refused.text
    assert re.search(r'value="absent" required checked', refused.text)
    assert len(session.scalars(select(Review)).all()) == 1


def test_a_study_held_by_another_cannot_be_signed(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    before = get(bob, f"/studies/{admission.study_id}")
    page = get(alice, f"/studies/{admission.study_id}")
    assert post(alice, f"/studies/{admission.study_id}/claim", page).status_code == 303
    theirs = get(bob, f"/studies/{admission.study_id}")
    assert "Held by alice until" in words(theirs)
    assert "Confirm and sign" not in words(theirs)
    refused = sign(bob, admission.study_id, before, action="confirm")
    assert refused.status_code == 409
    assert "alice holds this study" in refused.text
    now = bob.get(f"/studies/{admission.study_id}/now").json()
    assert (now["state"], now["mine"]) == ("claimed", False)
    released = post(
        alice, f"/studies/{admission.study_id}/release", get(alice, f"/studies/{admission.study_id}")
    )
    assert released.status_code == 303
    assert session.get_one(Study, admission.study_id).state == State.SCREENED


def test_a_study_that_waits_for_the_network_can_be_read_until_the_network_does(
    browser: Browser, blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    text = words(get(alice, f"/studies/{admission.study_id}"))
    assert "You need not wait for it." in text
    assert "Say what you see" in text
    with transaction() as session:
        claimed(session)
    text = words(get(alice, f"/studies/{admission.study_id}"))
    assert "The network reads it at this moment" in text
    assert "need not wait" not in text


def test_a_withheld_study_is_read_by_a_person_like_any_other(browser: Browser, session, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as other:
        a_bundle(other)
        [study] = claimed(other)
        record(
            other, study, image_read(admission.image_id, outcome=Outcome.WITHHELD, reason="A lateral view.")
        )
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    assert "Not read by the network. A lateral view." in words(page)
    assert "Confirm and sign" not in words(page)
    assert "Not read by the network. A lateral view." in pictures(page)[0]["notRead"]
    sign(alice, admission.study_id, page, action="correct", finding__pneumonia="present")
    assert session.scalars(select(Review)).one().verdict == "read"


def test_a_failed_study_can_be_screened_again_by_a_reader(browser: Browser, session, blobs: Blobs) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as other:
        a_bundle(other)
        [study] = claimed(other)
        record(other, study, image_read(admission.image_id, outcome=Outcome.FAILED, reason="It broke."))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{admission.study_id}")
    assert "screening failed. It broke." in words(page)
    assert post(alice, f"/studies/{admission.study_id}/retry", page).status_code == 303
    assert session.get_one(Study, admission.study_id).screening_due


@pytest.mark.parametrize("outcome", [Outcome.WITHHELD, Outcome.FAILED])
def test_whoever_holds_a_study_that_was_not_read_is_offered_to_screen_it_again_and_nobody_else(
    browser: Browser, session, blobs: Blobs, outcome: Outcome
) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as other:
        a_bundle(other)
        [study] = claimed(other)
        record(other, study, image_read(admission.image_id, outcome=outcome, reason="It was so."))
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    address = f"/studies/{admission.study_id}"
    post(alice, f"{address}/opened", get(alice, address))
    page = get(alice, address)
    assert "Held by you until" in words(page)
    assert "Not yet read by the network." not in words(page)
    assert "Screen again" in words(page)
    assert "Screen again" not in words(get(bob, address))
    assert post(alice, f"{address}/retry", page).status_code == 303
    found = session.get_one(Study, admission.study_id)
    assert (found.screening_due, found.claimed_by_name) == (True, "alice")
    waiting = words(get(alice, address))
    assert "Not yet read by the network." in waiting
    assert "Screen again" not in waiting


def test_a_signed_study_that_was_not_read_is_not_offered_to_the_network_again(
    browser: Browser, blobs: Blobs
) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as other:
        a_bundle(other)
        [study] = claimed(other)
        record(other, study, image_read(admission.image_id, outcome=Outcome.WITHHELD, reason="A lateral."))
    alice = browser("alice", Role.RADIOLOGIST)
    sign(alice, admission.study_id, action="correct", finding__pneumonia="present")
    page = words(get(alice, f"/studies/{admission.study_id}"))
    assert "Not read by the network. A lateral." in page
    assert "Not yet read by the network." not in page
    assert "Screen again" not in page


def test_who_may_not_review_sees_the_study_without_buttons(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    carol = browser("carol", Role.INTEGRATOR)
    page = get(carol, f"/studies/{admission.study_id}")
    assert "Only a radiologist may sign or amend." in words(page)
    assert "/review" not in page
    token = hidden(get(carol, "/destinations"), "csrf_token")
    forced = carol.post(
        f"/studies/{admission.study_id}/review",
        data={"csrf_token": token, "revision": "1", "action": "confirm"},
        headers=ACCEPT,
    )
    assert forced.status_code == 403
    assert session.scalars(select(Review)).all() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "correct", "finding__pneumonia": "maybe"},
        {"action": "correct", "finding__pneumonia": "present", "revision": "first"},
        {"action": "correct", "finding__pneumonia": "present", "revision": ""},
        {"action": "correct"},
        {"action": "correct", "finding__pneumonia": "absent", "comment": "x" * 10_001},
        {"action": "correct", "finding__" + "x" * 101: "absent"},
        {"action": "confirm", "revision": "999999999"},
    ],
)
def test_a_form_that_makes_no_sense_signs_nothing(browser: Browser, session, blobs: Blobs, fields) -> None:
    admission = a_screened_study(blobs)
    answer = sign(browser("alice", Role.RADIOLOGIST), admission.study_id, **fields)
    assert answer.status_code in (400, 409, 422)
    assert session.scalars(select(Review)).all() == []
