"""A second opinion by hand: asked, read without the first verdict, and told to the asker, in two browsers."""

from __future__ import annotations

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import Review, SecondOpinion
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import PASSWORD, a_screened_study


def test_a_colleague_is_asked_reads_unseen_and_the_asker_is_told(signed_in: SignIn, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    bob.wait_for_selector("#live[data-live=on]")
    open_painted(alice, study_id)
    alice.keyboard.press("2")
    alice.keyboard.press("y")
    alice.fill("#comment", "Behind the heart.")
    alice.keyboard.press("Control+Enter")
    alice.wait_for_url("**/?signed=*")
    alice.goto(f"/studies/{study_id}")
    alice.click("#ask summary")
    alice.fill("#question", "Left lower lobe? <b>markup</b>")
    alice.click("#ask button")
    alice.wait_for_selector("text=not answered yet")
    bob.wait_for_selector("#asked >> text=Asked of you")
    assert "Left lower lobe? <b>markup</b>" in bob.inner_text("#asked")
    bob.click("#asked a")
    bob.wait_for_selector("#asked-of-you")
    assert "Behind the heart." not in bob.content()
    assert bob.locator(".history").count() == 0
    bob.wait_for_selector("#viewer[data-state=full]")
    bob.wait_for_timeout(600)
    alice.goto("/")
    alice.wait_for_selector("#live[data-live=on]")
    bob.keyboard.press("2")
    bob.keyboard.press("n")
    bob.keyboard.press("Control+Enter")
    bob.wait_for_selector("text=Behind the heart.")
    alice.wait_for_selector("#asked >> text=bob has signed a verdict")
    alice.click("#asked a")
    alice.wait_for_selector("#second-opinions >> text=pneumonia absent")
    alice.goto("/")
    assert alice.locator("#asked section").count() == 0, "who has seen the answer is not told again"
    assert [(said.reviewer_name, said.findings) for said in stored(Review)] == [
        ("alice", {"pneumonia": "present"}),
        ("bob", {"pneumonia": "absent"}),
    ]


def test_the_asker_takes_the_question_back(signed_in: SignIn, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    open_painted(alice, study_id)
    alice.click("#ask summary")  # an open study is hers, so she may ask at once
    alice.click("#ask button")
    alice.wait_for_selector("text=not answered yet")
    alice.wait_for_selector("#viewer[data-state=full]")
    alice.wait_for_timeout(800)
    assert alice.inner_text("#held") == "Nobody holds it.", "so that bob can sign, though she looks at it"
    bob.goto("/")
    assert "alice asks" in bob.inner_text("#asked")
    alice.click("text=Withdraw the question")
    alice.wait_for_selector("#second-opinions >> text=withdrawn")
    bob.goto("/")
    assert bob.locator("#asked section").count() == 0


def test_a_question_and_a_reason_outlive_the_session_and_the_connection(
    signed_in: SignIn, blobs: Blobs
) -> None:
    theirs, own = a_screened_study(blobs).study_id, a_screened_study(blobs).study_id
    bob, alice = signed_in("bob", Role.RADIOLOGIST), signed_in("alice", Role.RADIOLOGIST)
    open_painted(bob, theirs)
    bob.keyboard.press("2")
    bob.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    open_painted(alice, theirs)
    alice.click("#take-over summary")
    alice.fill("#reason", "Bob was called away.")
    open_painted(alice, own)
    alice.click("#ask summary")
    alice.fill("#question", "Left lower lobe?")
    alice.context.clear_cookies()
    alice.click("#ask button")
    alice.wait_for_url(f"**/sign-in?next=/studies/{own}")
    alice.fill("#username", "alice")
    alice.fill("#password", PASSWORD)
    alice.click("button.main")
    alice.wait_for_url(f"**/studies/{own}")
    assert alice.input_value("#question") == "Left lower lobe?"
    alice.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    lost = []
    alice.route("**/second-opinion", lambda route: lost.append(route.fetch()) or route.abort(), times=1)
    alice.dblclick("#ask form button")
    alice.wait_for_selector("#unsent:visible")
    assert "The connection was lost while asking." in alice.inner_text("#unsent")
    alice.wait_for_selector("text=not answered yet")
    assert len(lost) == 1, "the server had it, and its answer was lost"
    assert [one.question for one in stored(SecondOpinion)] == ["Left lower lobe?"]
    assert alice.input_value("#question") == ""
    alice.goto(f"/studies/{theirs}")
    alice.wait_for_selector("#take-over:visible")
    assert alice.input_value("#reason") == "Bob was called away."
    alice.click("#take-over button")
    alice.wait_for_function("() => document.getElementById('held')?.textContent.startsWith('Held by you')")
    alice.wait_for_function("() => !Object.keys(sessionStorage).some((key) => key.includes(':take-over'))")
