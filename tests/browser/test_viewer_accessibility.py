"""The viewer's panes, lengths and marks as axe sees them, dark and light, and by keys alone."""

from __future__ import annotations

from app.blobs import Blobs
from app.domain.roles import Role
from tests.browser.canvas import draw, open_study, settle
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted
from tests.browser.test_accessibility import Eyes, eyes
from tests.builders import a_screened_study, an_admitted_study

__all__ = ["eyes"]

WORDS = ".shapes .words"
"""Axe takes SVG text for its `color` on a white page; it is painted in its `fill` with a black rim."""


def test_axe_objects_to_nothing_of_panes_lengths_and_marks(
    signed_in: SignIn,
    eyes: Eyes,
    blobs: Blobs,
) -> None:
    an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": "20240105"})
    study = a_screened_study(blobs, patient_id="P7", tags={"StudyDate": "20260301"})
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study.study_id)
    page.keyboard.press("d")
    draw(page, (-150, -120), (-30, -120))
    page.keyboard.press("x")
    draw(page, (-100, -40), (20, 40))
    eyes.look(page, "a length and a mark", besides=WORDS)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    open_study(page, study.study_id)
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=full]")
    page.locator(".history button[data-show-marks]").click()
    settle(page)
    eyes.look(page, "a prior beside a study with its marks", besides=WORDS)
    assert "\n".join(eyes.objections) == ""


def test_every_part_of_a_picture_is_reached_by_tab_and_shows_its_focus(
    signed_in: SignIn, blobs: Blobs
) -> None:
    an_admitted_study(blobs, patient_id="P7", tags={"StudyDate": "20240105"})
    study = a_screened_study(blobs, patient_id="P7", tags={"StudyDate": "20260301"})
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("d")
    draw(page, (-60, 0), (60, 0))
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=full]")
    page.locator(".pane:not(.prior) canvas").focus()
    reached = []
    for _ in range(5):
        reached.append(
            page.evaluate(
                "() => { const e = document.activeElement; return e.getAttribute('aria-label') + ' ' +"
                " (e.matches(':focus-visible') ? 'seen' : 'unseen'); }"
            )
        )
        page.keyboard.press("Tab")
    assert reached[0] == "Radiograph 1: AP seen"
    assert reached[1].startswith("Length, ")
    assert reached[2:4] == ["End of the length seen"] * 2
    assert reached[4] == "Prior radiograph 1: AP seen"
    assert page.locator(".pane.prior.active").count() == 1
