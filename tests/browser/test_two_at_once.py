"""Two readers on one study, and a connection that breaks while signing: nothing lost, nothing done twice."""

from __future__ import annotations

from typing import Any

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import AuditEvent, Review, Study, Withdrawal
from tests.browser.conftest import SignIn
from tests.browser.pages import hold_nothing, open_painted, stored
from tests.builders import a_screened_study


def held_by(page: Any, words: str) -> None:
    page.wait_for_function(
        "(words) => document.getElementById('held')?.textContent.startsWith(words)", arg=words
    )


def test_a_study_is_taken_over_with_a_reason_that_its_reader_sees_at_once(
    signed_in: SignIn, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    hold_nothing(bob)
    open_painted(bob, admission.study_id)
    assert not bob.is_visible("#take-over")
    open_painted(alice, admission.study_id)
    held_by(alice, "Held by you")
    alice.keyboard.press("2")
    alice.keyboard.press("n")
    alice.fill("#comment", "Half a sentence")
    bob.wait_for_selector("#take-over:visible")  # his page was open before she claimed it
    bob.click("#take-over summary")
    bob.fill("#reason", "She was <b>called</b> away.")
    bob.dblclick("#take-over button")
    held_by(bob, "Held by you")
    alice.wait_for_selector("#lost:visible")
    assert "bob took this study over from you at" in alice.inner_text("#lost")
    assert "She was <b>called</b> away." in alice.inner_text("#lost")
    assert alice.input_value("#comment") == "Half a sentence"
    alice.keyboard.press("Control+Enter")
    alice.wait_for_selector("#barred:visible")
    assert "bob holds the study, so this cannot be signed now." in alice.inner_text("#barred")
    assert alice.input_value("#comment") == "Half a sentence"
    assert alice.is_checked("#correct input[value=absent]")
    assert alice.locator("#correct button[data-signs]:disabled").count() == 1
    bob.click("form[data-release] button")
    alice.wait_for_selector("#barred", state="hidden")  # free again, it can be signed as it stands
    alice.wait_for_selector("#correct button[data-signs]:enabled")
    open_painted(bob, admission.study_id)
    bob.click("form[data-claim] button")
    alice.wait_for_selector("#barred:visible")
    alice.reload()  # sends the form again, and is refused again
    alice.wait_for_selector("#lost:visible")
    open_painted(bob, admission.study_id)
    bob.keyboard.press("1")
    bob.wait_for_url("**/?signed=*")
    alice.goto(f"/studies/{admission.study_id}")
    alice.wait_for_selector("#restored:visible")
    assert alice.input_value("#comment") == "Half a sentence", "the draft survives, to amend from"
    history = alice.inner_text(".history")
    assert history.index("bob confirmed and signed") < history.index("bob took the study over from alice")
    taken = [event for event in stored(AuditEvent) if event.action == "study.taken-over"]
    assert [event.details["reason"] for event in taken] == ["She was <b>called</b> away."]


def test_the_second_to_sign_is_told_who_when_and_what_and_amends_in_one_step(
    signed_in: SignIn, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    for page in (alice, bob):
        hold_nothing(page)
    open_painted(bob, admission.study_id)
    open_painted(alice, admission.study_id)
    bob.route("**/claim", lambda route: route.abort())
    bob.evaluate("() => { document.getElementById('correction').open = true; }")
    bob.click("#correction label:has-text('Absent')")
    bob.fill("#comment", "I see nothing.")
    alice.keyboard.press("1")
    alice.wait_for_url("**/?signed=*")
    bob.wait_for_selector("#changed:visible")
    assert "alice signed at" in bob.inner_text("#changed")
    assert "pneumonia present" in bob.inner_text("#changed")
    bob.locator("#correct button[data-signs]").click()
    bob.wait_for_selector(".act [role=alert] >> text=nothing was signed")
    assert "alice signed at" in bob.inner_text("section.act")
    assert bob.input_value("#comment") == "I see nothing."
    assert [review.reviewer_name for review in stored(Review)] == ["alice"]
    bob.click("text=Sign the amendment")
    bob.wait_for_url("**/studies/*?signed=*")
    assert [(review.reviewer_name, review.comment) for review in stored(Review)] == [
        ("alice", ""),
        ("bob", "I see nothing."),
    ]
    assert [study.state for study in stored(Study)] == ["amended"]


def test_a_connection_cut_while_signing_loses_nothing_and_signs_once(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("2")
    held_by(page, "Held by you")
    page.keyboard.press("n")
    page.fill("#comment", "Motion.")
    page.context.set_offline(True)
    page.locator("#correct button[data-signs]").click()
    page.wait_for_selector("#unsent:visible")
    assert "The connection was lost while signing." in page.inner_text("#unsent")
    assert page.input_value("#comment") == "Motion."
    page.keyboard.press("Control+Enter")  # pressed again, it is still sent once
    assert stored(Review) == []
    page.context.set_offline(False)
    page.wait_for_url("**/?signed=*")
    [review] = stored(Review)
    assert (review.comment, review.findings) == ("Motion.", {"pneumonia": "absent"})


def test_whoever_leaves_while_a_signature_is_unsent_is_asked_first(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.context.set_offline(True)
    page.keyboard.press("1")
    page.wait_for_selector("#unsent:visible")
    asked = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.keyboard.press("l")
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert page.is_visible("#unsent")
    page.context.set_offline(False)
    page.wait_for_url("**/?signed=*")
    assert len(stored(Review)) == 1


def test_a_signature_is_given_though_its_reader_hurries_on(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.evaluate(
        "() => { document.querySelector('#confirm').requestSubmit(); location.assign('/account'); }"
    )
    page.wait_for_url(lambda url: "/studies/" not in url)  # where a quick answer leads, or where she went
    for _ in range(50):
        if stored(Review):
            break
        page.wait_for_timeout(100)
    assert len(stored(Review)) == 1


def test_an_answer_that_was_lost_after_the_signature_signs_nothing_twice(
    signed_in: SignIn, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    arrived = []

    def swallow(route: Any) -> None:
        answer = route.fetch()
        arrived.append(answer.status)
        if len(arrived) == 1:
            route.abort("connectionreset")
        else:
            route.fulfill(response=answer)

    page.route("**/review", swallow)
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    assert arrived == [200, 200]
    assert len(stored(Review)) == 1


def test_an_undo_whose_answer_was_lost_undoes_once(signed_in: SignIn, blobs: Blobs) -> None:
    admission, _ = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("1")
    page.wait_for_url("**/studies/*?signed=*")
    arrived = []

    def swallow(route: Any) -> None:
        answer = route.fetch()
        arrived.append(answer.status)
        if len(arrived) == 1:
            route.abort("connectionreset")
        else:
            route.fulfill(response=answer)

    page.route("**/undo", swallow)
    page.wait_for_selector("#undo")
    page.wait_for_function("() => document.querySelector('[data-countdown]')?.textContent")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#unsent:visible")
    assert "The connection was lost while undoing." in page.inner_text("#unsent")
    page.wait_for_url(f"**/studies/{admission.study_id}")
    assert len(stored(Withdrawal)) == 1
