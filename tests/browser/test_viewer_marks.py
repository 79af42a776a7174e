"""Boxes and ellipses on the picture: drawn, kept, signed, shown again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import Review, Withdrawal
from app.settings import settings
from tests.browser.canvas import draw, middle, open_study, settle
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_screened_study, an_admitted_study


def marks(page: Any) -> list[dict[str, Any]]:
    settle(page)
    return json.loads(page.input_value("#correct input[data-marks]") or "[]")


def test_a_box_and_an_ellipse_are_signed_with_the_correction_and_shown_again(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("a")
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    assert page.locator("#correction").get_attribute("open") is not None, "a mark begins a correction"
    assert page.locator('input[value="present"]').is_checked(), "what is marked is there"
    page.keyboard.press("e")
    draw(page, (-100, 30), (-60, 80))
    box, ellipse = marks(page)
    # One to one: the middle of the screen is the middle of the picture, 270 pixels wide and 320 high.
    assert (box["shape"], box["width"], box["height"]) == ("box", 80, 50)
    assert (box["x"], box["y"]) == (pytest.approx(135 - 60, abs=1), pytest.approx(160 - 40, abs=1))
    assert (ellipse["shape"], ellipse["finding"]) == ("ellipse", "pneumonia")
    assert {mark["image"] for mark in (box, ellipse)} == {str(study.image_id)}
    assert page.locator("[data-mark-list] li").count() == 2
    page.fill("#comment", "Two of them.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    [review] = stored(Review)
    assert review.marks == [box, ellipse]
    open_study(page, study.study_id)
    assert page.locator(".shape.box").count() == page.locator(".shape.ellipse").count() == 1
    assert marks(page) == [box, ellipse], "an amendment begins with what stands"
    page.locator("[data-correct]").click()
    page.locator("[data-mark-list] button").first.click()
    page.locator("#correct button[data-signs]").click()
    page.wait_for_function("() => document.querySelectorAll('.history button[data-show-marks]').length === 2")
    assert [len(review.marks) for review in stored(Review)] == [2, 1]
    page.wait_for_selector("#viewer[data-state=full]")
    page.locator(".history button[data-show-marks]").last.click()
    settle(page)
    assert page.locator(".shape.fixed").count() == 2


def test_a_confirmation_carries_marks_too(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    page.locator("#viewer canvas").focus()
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    [review] = stored(Review)
    assert review.verdict == "confirmed"
    assert [mark["shape"] for mark in review.marks] == ["box"]


def test_marks_survive_a_reload_as_part_of_the_draft(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    drawn = marks(page)
    page.reload()
    page.wait_for_selector("#viewer[data-state=full]")
    assert marks(page) == drawn
    assert page.locator(".shape.box").count() == 1
    assert page.locator("#restored").is_visible()


def test_enter_in_an_answer_signs_nothing(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("x")
    page.locator("#viewer canvas").focus()
    for _ in range(3):
        page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.type") == "radio", "the correction took the focus"
    page.wait_for_timeout(300)
    assert stored(Review) == []
    assert len(marks(page)) == 1


def test_a_box_that_was_only_begun_is_no_mark(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    assert len(marks(page)) == 1
    click(page, (40, 40))
    assert page.locator(".shape.box").count() == 2
    page.keyboard.press("Delete")
    settle(page)
    assert page.locator(".shape.box").count() == 1, "what was begun goes, and not the mark"
    click(page, (-90, 40))
    page.keyboard.press("v")
    assert len(marks(page)) == 1
    assert page.locator(".shape.box").count() >= 1


def click(page: Any, at: tuple[int, int]) -> None:
    """At a place counted from the middle of the picture."""
    x, y = middle(page)
    page.mouse.click(x + at[0], y + at[1])
    settle(page)


def test_a_mark_is_moved_and_deleted_by_keys(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("a")
    page.keyboard.press("x")
    page.locator("#viewer canvas").focus()
    page.keyboard.press("Enter")
    [before] = marks(page)
    page.locator(".shape.box .grab").focus()
    page.keyboard.press("Shift+ArrowRight")
    [after] = marks(page)
    assert (after["x"], after["width"]) == (pytest.approx(before["x"] + 10, abs=0.2), before["width"])
    page.keyboard.press("Delete")
    assert marks(page) == []
    assert page.locator("[data-mark-list]").is_hidden()


def test_what_was_last_done_on_the_picture_is_taken_back_step_by_step(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("a")
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    drawn = marks(page)
    page.locator(".shape.box .grab").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("w")
    draw(page, (30, -40), (30, 0))  # by its edge, which now is there
    moved = marks(page)
    assert moved[0]["y"] > drawn[0]["y"]
    page.keyboard.press("Delete")
    assert marks(page) == []
    page.keyboard.press("Control+z")
    assert marks(page) == moved, "deleted and back"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert marks(page) == drawn, "moved twice and back"
    page.keyboard.press("Control+z")
    assert marks(page) == []
    page.keyboard.press("Control+z")
    assert marks(page) == []


def test_ctrl_z_takes_back_the_mark_first_and_then_the_signature_before_it(
    signed_in: SignIn, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "60")
    settings.cache_clear()
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.press("1")
    page.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    page.wait_for_selector("#viewer[data-state=full]")
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    assert len(marks(page)) == 1
    page.locator("#viewer canvas").focus()
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert (marks(page), stored(Withdrawal)) == ([], [])
    page.keyboard.press("Control+z")
    page.wait_for_url(f"**/studies/{first.study_id}")
    assert len(stored(Withdrawal)) == 1


def test_ctrl_z_undoes_no_signature_while_a_mark_is_selected(
    signed_in: SignIn, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "60")
    settings.cache_clear()
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.press("1")
    page.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    page.wait_for_selector("#viewer[data-state=full]")
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    drawn = marks(page)
    page.reload()  # the mark is back, and there is nothing more to take back
    page.wait_for_selector("#viewer[data-state=full]")
    page.locator(".shape.box .grab").focus()
    page.wait_for_selector('[data-do="delete"]:not(:disabled)')
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert (marks(page), stored(Withdrawal)) == (drawn, [])
    assert page.locator("#undo button").is_visible()


def test_what_is_marked_cannot_be_called_absent(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    page.keyboard.press("w")
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(300)
    assert stored(Review) == []
    assert page.evaluate("() => document.querySelector('input[value=absent]').validationMessage").startswith(
        "It is marked on the image."
    )
    page.locator("[data-mark-list] button").click()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    assert stored(Review)[0].marks == []


def test_a_prior_takes_no_marks(signed_in: SignIn, blobs: Blobs) -> None:
    an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": "20240105"})
    study = a_screened_study(blobs, patient_id="P7", tags={"StudyDate": "20260301"})
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=full]")
    page.keyboard.press("x")
    box = page.locator(".pane.prior canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 150, steps=3)
    page.mouse.up()
    assert marks(page) == []
    assert page.locator(".shape").count() == 0


def test_who_may_not_sign_sees_the_marks_and_draws_none(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("x")
    draw(page, (-60, -40), (20, 10))
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    other = open_study(signed_in("ivan", Role.INTEGRATOR), study.study_id)
    assert other.locator(".shape.fixed.box").count() == 1
    assert other.locator('[data-do="tool-box"]').count() == 0
    other.keyboard.press("x")
    draw(other, (-60, -40), (20, 10))
    assert other.locator(".shape").count() == 1
