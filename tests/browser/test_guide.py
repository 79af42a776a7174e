"""Help where the words stand, and the walk through a first case; nothing is signed by either."""

from __future__ import annotations

from typing import Any

import pytest

from app.blobs import Blobs
from app.commands import blinding
from app.domain.roles import SYSTEM, Role
from app.records import Review, Study, User
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.browser.test_accessibility import Eyes, eyes
from tests.builders import a_screened_study, an_admitted_study

__all__ = ["eyes"]


def heading(page: Any) -> str:
    return page.inner_text("[data-guide-says] h3")


def walk(page: Any) -> list[str]:
    """The steps to the last, by the key that presses the button in focus."""
    seen = [heading(page)]
    while page.inner_text("[data-guide-next]") == "Next":
        page.keyboard.press("Enter")
        seen.append(heading(page))
    return seen


def test_a_newcomer_is_shown_around_by_keys_alone_and_nothing_is_signed(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    open_painted(page, study.study_id)
    assert page.is_visible("#guide >> text=It explains and signs nothing.")
    assert page.evaluate("() => document.activeElement === document.body"), "it takes no focus unasked"
    page.locator("[data-guide-start] >> visible=true").focus()
    page.keyboard.press("Enter")
    assert walk(page) == [
        "The picture",
        "What the network says",
        "Why it stands where it stands",
        "If you agree",
        "If you see it otherwise",
        "If it was a mistake",
        "The list",
    ]
    assert page.inner_text("[data-guide-at]") == "Step 7 of 7"
    assert page.locator(".guided").get_attribute("href") == "/"
    for key in ("1", "2", "3", "l", "Control+Enter"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.is_visible("[data-guide-rests]")
    said = (stored(Review), [study.state for study in stored(Study)])
    assert said == ([], ["claimed"]), "it is open, and hers"
    page.locator("[data-guide-back]").focus()
    page.keyboard.press("Enter")
    assert heading(page) == "If it was a mistake"
    assert "For 10 seconds after a signature" in page.inner_text("[data-guide-says]")
    with page.expect_response("**/help/guide"):
        page.keyboard.press("Escape")
    assert page.is_hidden("#guide")
    assert page.locator(".guided").count() == 0
    assert page.evaluate("() => document.activeElement.tagName") == "CANVAS"
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")


def test_it_is_offered_once_and_again_to_who_asks(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    page.goto(f"/studies/{first.study_id}")
    with page.expect_response("**/help/guide"):
        page.click("#guide >> text=Not now")
    assert page.is_hidden("#guide")
    page.goto(f"/studies/{second.study_id}")
    assert page.is_hidden("#guide")
    page.keyboard.press("?")
    page.click("text=Show me around this page")
    assert heading(page) == "The picture"
    assert page.locator("dialog[open]").count() == 0
    page.goto("/help")
    page.click("text=Offer it to me again")
    page.wait_for_selector("text=The walk is offered on the next study that you open.")
    page.goto(f"/studies/{second.study_id}")
    assert page.is_visible("#guide >> text=Show me around")


def test_it_is_not_in_the_way_of_what_cannot_wait(signed_in: SignIn, blobs: Blobs) -> None:
    stat = a_screened_study(blobs, tags={"RequestedProcedurePriority": "STAT"})
    with transaction() as session:
        session.get_one(Study, stat.study_id).priority = "stat"
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    page.goto(f"/studies/{stat.study_id}")
    assert page.is_hidden("#guide")
    ivan = signed_in("ivan", Role.INTEGRATOR, newcomer=True)
    ivan.goto(f"/studies/{a_screened_study(blobs).study_id}")
    assert ivan.is_hidden("#guide"), "who reads nothing is offered nothing"


def test_it_speaks_of_what_is_on_the_page(signed_in: SignIn, blobs: Blobs) -> None:
    waiting = an_admitted_study(blobs)
    with transaction() as session:
        blinding.set_share(session, share=100, by=SYSTEM)
    blind = a_screened_study(blobs, patient_id="P2")
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    page.goto(f"/studies/{blind.study_id}")
    page.click("#guide [data-guide-start]")
    page.click("[data-guide-next]")
    assert "hidden until a verdict of your own is signed" in page.inner_text("[data-guide-says]")
    assert "If you agree" not in walk(page), "nothing can be confirmed"
    page.goto(f"/studies/{waiting.study_id}")
    page.click("#guide [data-guide-start]")
    page.click("[data-guide-next]")
    assert "Of this study it says nothing" in page.inner_text("[data-guide-says]")


def test_a_sample_is_offered_where_one_waits(signed_in: SignIn, blobs: Blobs) -> None:
    real, drawn = a_screened_study(blobs), a_screened_study(blobs)
    with transaction() as session:
        session.get_one(Study, real.study_id).is_sample = False
        session.get_one(Study, drawn.study_id).is_sample = True
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    page.goto(f"/studies/{real.study_id}")
    page.click("text=Go to a sample first")
    page.wait_for_url(f"**/studies/{drawn.study_id}")
    assert page.is_visible("#guide >> text=Show me around")
    assert page.locator("text=Go to a sample first").count() == 0


def test_without_scripts_it_can_be_sent_away(
    chromium: Any, server: str, signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    scripted = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    plain = chromium.new_context(
        java_script_enabled=False, base_url=server, storage_state=scripted.context.storage_state()
    )
    page = plain.new_page()
    page.goto(f"/studies/{study.study_id}")
    page.click("#guide >> text=Not now")
    page.wait_for_url(f"**/studies/{study.study_id}")
    assert page.is_hidden("#guide")
    page.click("#first-read .explain summary >> nth=0")
    assert page.is_visible("#first-read >> text=No lane is a diagnosis.")
    plain.close()
    assert [user.preferences["guide_seen"] for user in stored(User)] == [True]


@pytest.mark.parametrize("touch", [False, True])
def test_a_word_is_explained_where_it_stands(signed_in: SignIn, blobs: Blobs, touch: bool) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST, width=820 if touch else 1280, height=1180 if touch else 800)
    page.goto(f"/studies/{study.study_id}")
    for mark in page.locator("#first-read .explain summary").all():
        mark.click()
        shown = page.locator(".explained:visible")
        assert shown.count() == 1, "one at a time"
        box = shown.bounding_box()
        view = page.viewport_size
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= view["width"]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= view["height"]
    page.mouse.click(5, view["height"] - 5)
    assert page.locator(".explained:visible").count() == 0, "a press elsewhere closes it"
    mark = page.locator("#first-read .explain summary").first
    mark.focus()
    page.keyboard.press("Enter")
    assert page.is_visible("text=No lane is a diagnosis.")
    page.keyboard.press("Escape")
    assert page.locator(".explained:visible").count() == 0
    assert mark.evaluate("(mark) => mark === document.activeElement")


def test_the_list_and_the_help_page_say_the_same_words(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.goto("/")
    said = []
    for mark in page.locator("thead .explain summary").all():
        mark.click()
        said += page.locator(".explained:visible > p").all_inner_texts()[:-1]
    assert len(said) >= 5
    page.click(".explained:visible >> text=All explanations")
    page.wait_for_url("**/help#state")
    gathered = page.inner_text("main")
    assert [sentence for sentence in said if sentence not in gathered] == []
    page.goto("/")
    page.keyboard.press("?")
    page.click("text=What the words mean")
    page.wait_for_url("**/help")


def test_axe_objects_to_nothing_of_help_in_place_and_the_walk(
    signed_in: SignIn, eyes: Eyes, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST, newcomer=True)
    page.goto("/")
    page.click("thead .explain summary >> nth=0")
    eyes.look(page, "a word of the list explained")
    open_painted(page, study.study_id)
    eyes.look(page, "the walk offered")
    page.click("#first-read .explain summary >> nth=1")
    eyes.look(page, "a word of the study explained")
    page.keyboard.press("Escape")
    page.click("#guide [data-guide-start]")
    for _ in range(3):
        eyes.look(page, f"the walk: {heading(page)}")
        page.click("[data-guide-next]")
    page.keyboard.press("x")
    eyes.look(page, "the walk while keys rest")
    assert eyes.objections == []
