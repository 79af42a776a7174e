"""The undo that is offered after a signature: what it says, what it takes back, and when it is too late."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.domain.roles import Role, Scope
from app.records import Review, Study, Withdrawal
from app.records.engine import transaction
from app.settings import settings
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, post, words
from tests.app.web.pages.test_signing import sign
from tests.builders import a_key, a_screened_study


def undo_of(page: str) -> str:
    """Where the page's undo form posts to."""
    [address] = re.findall(r'action="(/studies/[^"]+/undo)"', page)
    return address


def test_the_next_page_says_what_was_signed_of_whom_and_offers_undo(
    browser: Browser, session, blobs: Blobs
) -> None:
    first = a_screened_study(blobs, patient_id="P7", tags={"PatientName": "Doe^Jane"})
    second = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    fields = {"action": "correct", "finding__pneumonia": "absent", "comment": "Motion."}
    onwards = sign(alice, first.study_id, **fields).headers["location"]
    page = get(alice, onwards)
    assert onwards.startswith(f"/studies/{second.study_id}")
    assert re.search(
        r"Signed: Doe, Jane \(P7\), pneumonia absent\. It can be undone for \d+ s\.", words(page)
    )
    undone = post(alice, undo_of(page), page)
    assert (undone.status_code, undone.headers["location"]) == (303, f"/studies/{first.study_id}")
    back = get(alice, f"/studies/{first.study_id}")
    assert "You took this signature back." in words(back)
    assert "Held by you" in words(back)
    assert "Motion.</textarea>" in back
    assert re.search(r'value="absent" required checked', back)
    assert '<details id="correction" open>' in back
    assert "alice took back the signature of" in words(back)
    assert session.get_one(Study, first.study_id).state == "claimed"
    signed_again = sign(alice, first.study_id, back, **fields)
    assert signed_again.headers["location"] == onwards
    assert "took back" in words(get(alice, f"/studies/{first.study_id}")), "the history keeps it"


def test_a_confirmation_undone_offers_the_confirmation_again(browser: Browser, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, sign(alice, admission.study_id, action="confirm").headers["location"])
    assert "Nothing else is ready to be read." in words(page), "it is the worklist"
    post(alice, undo_of(page), page)
    back = get(alice, f"/studies/{admission.study_id}")
    assert "Confirm and sign pneumonia present" in words(back)
    assert '<details id="correction">' in back


def test_an_amendment_undone_leaves_the_former_verdict_and_the_words(browser: Browser, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    sign(alice, admission.study_id, action="confirm")
    amended = sign(alice, admission.study_id, action="correct", finding__pneumonia="uncertain", comment="Hm.")
    assert amended.headers["location"] == f"/studies/{admission.study_id}?signed={admission.study_id}"
    page = get(alice, amended.headers["location"])
    assert "Amended:" in words(page)
    post(alice, undo_of(page), page)
    back = get(alice, f"/studies/{admission.study_id}")
    assert "Hm.</textarea>" in back
    assert "Sign the amendment" in words(back)
    assert re.search(r"alice confirmed and signed \d\d:\d\d stands", words(back))


def test_undo_pressed_twice_does_its_work_once(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, sign(alice, admission.study_id, action="confirm").headers["location"])
    answers = [post(alice, undo_of(page), page) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(session.scalars(select(Withdrawal)).all()) == 1


def test_undo_that_comes_too_late_says_since_when_it_is_final_and_what_to_do(
    browser: Browser, session, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "0")
    settings.cache_clear()
    admission = a_screened_study(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, sign(alice, admission.study_id, action="confirm").headers["location"])
    assert '/undo"' not in page
    review = session.scalars(select(Review)).one()
    late = post(alice, f"/studies/{admission.study_id}/reviews/{review.id}/undo", page)
    assert late.status_code == 409
    assert re.search(r"became final at \d\d:\d\d:\d\d UTC and can no longer be undone", words(late.text))
    assert "amend it" in words(late.text)


def test_nobody_is_offered_to_undo_what_another_signed(browser: Browser, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    sign(alice, admission.study_id, action="confirm")
    page = get(bob, f"/?signed={admission.study_id}")
    assert '/undo"' not in page
    review = session.scalars(select(Review)).one()
    refused = post(bob, f"/studies/{admission.study_id}/reviews/{review.id}/undo", page)
    assert refused.status_code == 403
    assert "Only alice, who signed, can undo this signature." in words(refused.text)


def test_a_machine_undoes_by_rest_and_sees_what_stands(client, session, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    with transaction() as other:
        headers = {"Authorization": f"Bearer {a_key(other, 'RIS', Scope.REVIEW)}"}
    address = f"/api/v1/studies/{admission.study_id}"
    revision = client.get(address, headers=headers).json()["revision"]
    signed = client.post(
        f"{address}/reviews", headers=headers, json={"revision": revision, "confirm": True}
    ).json()
    [shown] = client.get(address, headers=headers).json()["reviews"]
    assert shown["final_at"] == signed["final_at"] > shown["signed_at"]
    undone = client.post(f"{address}/reviews/{signed['id']}/undo", headers=headers)
    assert undone.json() == {
        "study": str(admission.study_id),
        "review": signed["id"],
        "state": "claimed",
        "revision": signed["revision"] + 1,
    }
    study = client.get(address, headers=headers).json()
    assert (study["state"], study["reviews"]) == ("claimed", [])
    [withdrawn] = study["withdrawn_reviews"]
    assert (withdrawn["id"], withdrawn["reviewer"]) == (signed["id"], "RIS")
    assert withdrawn["withdrawn_at"]
