"""An open study is its reader's: others are led past it, and it is free once left with nothing done."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import opening
from app.domain.roles import Role
from app.records import AuditEvent, Review, Study
from app.records.base import now
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_screened_study
from tests.served import eventually


def holder(study_id: UUID) -> str | None:
    with transaction() as session:
        return session.scalar(select(Study.claimed_by_name).where(Study.id == study_id))


def is_held_by(study_id: UUID, name: str | None) -> None:
    eventually(lambda: holder(study_id) == name, seconds=10)


def said_of(study_id: UUID) -> list[tuple[str, object]]:
    """Claims and releases of the study, and what they came by."""
    return [
        (event.action.removeprefix("study."), event.details.get("via"))
        for event in sorted(stored(AuditEvent), key=lambda event: event.id)
        if event.study_id == study_id and event.action in ("study.claimed", "study.released")
    ]


def test_two_readers_who_sign_with_one_key_are_led_past_what_the_other_has_open(
    signed_in: SignIn, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    open_painted(bob, first)
    is_held_by(first, "bob")
    open_painted(alice, second)
    is_held_by(second, "alice")
    bob.keyboard.press("1")
    bob.wait_for_url(f"**/studies/{third}?signed={first}")
    is_held_by(third, "bob")
    alice.keyboard.press("1")
    alice.wait_for_url(f"**/?signed={second}")
    signed = {review.study_id: review.reviewer_name for review in stored(Review)}
    assert signed == {first: "bob", second: "alice"}
    assert said_of(first) == [("claimed", "page")]


def test_the_page_of_an_open_study_says_whose_it_is_and_moves_nothing(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    alice.route("**/opened", lambda route: None)
    alice.goto(f"/studies/{study}")
    assert alice.inner_text("#held") == "Nobody holds it."
    assert not alice.is_visible("#second-opinions")
    button = alice.locator("#confirm button").bounding_box()
    alice.unroute_all(behavior="ignoreErrors")
    open_painted(alice, study)
    alice.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    assert alice.locator("#confirm button").bounding_box() == button
    assert alice.is_visible("#ask"), "whoever holds a study can ask a colleague about it"
    assert alice.is_visible("form[data-release]")
    bob.goto(f"/studies/{study}")
    assert bob.inner_text("#held").startswith("Held by alice until")
    bob.wait_for_selector("#viewer[data-state=full]")
    bob.wait_for_timeout(800)
    assert holder(study) == "alice"
    assert said_of(study) == [("claimed", "page")]


def test_a_study_that_was_only_looked_at_is_free_once_it_is_left(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    is_held_by(study, "alice")
    page.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    page.keyboard.press("l")
    page.wait_for_url("**/")
    is_held_by(study, None)
    assert said_of(study) == [("claimed", "page"), ("released", "page")]


def test_a_study_that_is_left_before_its_opening_was_answered_is_free(
    signed_in: SignIn, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_screened_study(blobs).study_id
    begun, is_left = Event(), Event()

    def slowly(*args: Any, **how: Any) -> Any:
        begun.set()
        assert is_left.wait(30)
        return open_study(*args, **how)

    open_study = opening.open_study
    monkeypatch.setattr(opening, "open_study", slowly)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.goto(f"/studies/{study}")
    for _ in range(500):
        if begun.is_set():
            break
        page.wait_for_timeout(20)
    page.keyboard.press("l")
    page.wait_for_url("**/")
    page.wait_for_timeout(500)  # leaving is heard of first
    assert said_of(study) == []
    is_left.set()
    eventually(lambda: said_of(study) == [("claimed", "page"), ("released", "page")], seconds=10)
    assert holder(study) is None


def test_a_study_on_which_work_has_begun_stays_held_when_it_is_left(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    is_held_by(study, "alice")
    page.evaluate("() => { document.getElementById('correction').open = true; }")
    with page.expect_response("**/claim"):
        page.click("#correction label:has-text('Absent')")
    left(page)
    assert holder(study) == "alice"
    page.goto(f"/studies/{study}")
    page.locator("form[data-release] button").click()
    page.wait_for_url("**/")
    is_held_by(study, None)
    open_painted(page, study)
    page.wait_for_selector("#restored:visible")
    is_held_by(study, "alice")
    page.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    left(page)
    assert holder(study) == "alice", "what was filled in earlier is there"


def left(page: Any) -> None:
    """The reader has left the study for the worklist; what the page had to say by then has arrived."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    page.wait_for_timeout(300)
    assert not [url for url in asked if url.endswith("/left")]


def test_a_study_in_a_tab_that_nobody_looks_at_is_not_held(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    page.add_init_script(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => !window.looked });"
    )
    open_painted(page, study)
    page.wait_for_timeout(500)
    assert holder(study) is None
    page.evaluate("() => { window.looked = true; document.dispatchEvent(new Event('visibilitychange')); }")
    is_held_by(study, "alice")


def test_a_key_goes_through_all_studies_without_signing_any(signed_in: SignIn, blobs: Blobs) -> None:
    studies = [a_screened_study(blobs).study_id for _ in range(3)]
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, studies[0])
    for study in (*studies[1:], studies[0]):
        # A page that was made ahead is shown first, and hears where the key leads.
        page.wait_for_function(
            "(study) => document.getElementById('content').dataset.ahead === undefined"
            " && document.getElementById('following-study')?.pathname.endsWith(study)",
            arg=str(study),
        )
        page.keyboard.press("3")
        page.wait_for_url(f"**/studies/{study}")
        page.wait_for_selector("#viewer[data-state=full]")
    assert page.evaluate("document.getElementById('next-study').pathname") == f"/studies/{studies[1]}"
    assert stored(Review) == []


def test_what_comes_next_is_another_once_a_colleague_has_opened_it(signed_in: SignIn, blobs: Blobs) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    open_painted(alice, first)
    where = "['next-study', 'following-study'].map((id) => document.getElementById(id).pathname)"
    assert alice.evaluate(where) == [f"/studies/{second}"] * 2
    open_painted(bob, second)
    alice.wait_for_function(f"() => {where}.every((address) => address === '/studies/{third}')")
    alice.keyboard.press("3")
    alice.wait_for_url(f"**/studies/{third}")


def test_a_hold_does_not_end_under_the_hand_that_writes(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    open_painted(alice, study)
    is_held_by(study, "alice")
    with alice.expect_response("**/claim"):
        alice.keyboard.press("2")
    with transaction() as session:  # as many minutes later
        session.execute(update(Study).values(claim_expires_at=now() + timedelta(minutes=2)))
    bob.goto(f"/studies/{study}")
    before = bob.inner_text("#held")
    assert before.startswith("Held by alice until")
    alice.fill("#comment", "Half a sentence")
    bob.wait_for_function(
        "(before) => (document.getElementById('held')?.textContent ?? before) !== before", arg=before
    )
    theirs = bob.inner_text("#held")
    assert theirs.startswith("Held by alice until")
    alice.wait_for_function(
        "(until) => document.getElementById('held')?.textContent === until",
        arg=theirs.replace("Held by alice", "Held by you"),
    )
    assert [held for held in said_of(study) if held[0] == "claimed"] == [("claimed", "page")]
