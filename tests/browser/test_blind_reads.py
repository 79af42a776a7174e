"""Blind reads by hand and keyboard: nothing is told before the verdict, and all of it after."""

from __future__ import annotations

from app.blobs import Blobs
from app.commands import blinding
from app.domain.roles import SYSTEM, Role
from app.records import Review
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_screened_study


def draw_all() -> None:
    with transaction() as session:
        blinding.set_share(session, share=100, by=SYSTEM)


def test_a_drawn_study_is_read_without_the_network_and_tells_afterwards(
    signed_in: SignIn, blobs: Blobs
) -> None:
    draw_all()
    study_id = a_screened_study(blobs, probability=0.93).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    row = page.locator(f"#s-{study_id}")
    assert "Blind read" in row.inner_text()
    assert "0.93" not in page.content()
    page.goto("/?lane=rule-out")
    assert page.locator(f"#s-{study_id}").count() == 1, "no filter loses it"
    open_painted(page, study_id)
    assert "Blind read." in page.inner_text("#blind")
    assert "0.93" not in page.content()
    page.keyboard.press("h")
    assert page.locator("[data-heat-legend]").is_hidden()
    page.keyboard.press("1")
    page.wait_for_timeout(500)
    assert stored(Review) == [], "there is nothing to confirm"
    assert page.locator("#correction").get_attribute("open") is not None
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    page.goto(f"/studies/{study_id}")
    assert "Pneumonia likely" in page.inner_text(".words")
    assert "The network had said: pneumonia likely (0.93)." in page.inner_text(".history")
    [review] = stored(Review)
    assert (review.blind, review.verdict) == (True, "corrected")


def test_the_opinion_is_hidden_for_a_reader_who_asked_for_it(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    page.goto("/account")
    page.click("#blind-choice")
    page.wait_for_selector("text=only after you have committed")
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    open_painted(page, first.study_id)
    page.keyboard.press("2")
    page.keyboard.press("y")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/studies/{second.study_id}?signed={first.study_id}")
    assert "Blind read." in page.inner_text("#blind")
    [review] = stored(Review)
    assert (review.blind, review.verdict) == (True, "confirmed")


def test_the_live_list_tells_nothing_when_the_network_has_read(signed_in: SignIn, blobs: Blobs) -> None:
    draw_all()
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    answers: list[str] = []
    page.on("response", lambda answer: answers.append(answer.text()) if "/worklist/" in answer.url else None)
    study_id = a_screened_study(blobs, probability=0.93).study_id
    page.wait_for_selector(f"#s-{study_id}")
    page.wait_for_timeout(500)
    assert "Blind read" in page.inner_text(f"#s-{study_id}")
    assert answers
    assert not any("0.93" in answer or 'data-lane="rule-in"' in answer for answer in answers)


def test_the_administrator_sets_the_share(signed_in: SignIn) -> None:
    page = signed_in("ada", Role.ADMINISTRATOR)
    page.goto("/site")
    page.fill("#share", "12")
    page.click("text=Set the share")
    page.wait_for_selector("text=12 % since")
