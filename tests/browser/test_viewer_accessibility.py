"""The viewer's panes, lengths and marks as axe sees them, dark and light, and by keys alone."""

from __future__ import annotations

from app.blobs import Blobs
from app.domain.roles import Role
from tests.browser.canvas import draw, open_study, settle
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted
from tests.browser.test_accessibility import _WEAR, Eyes, eyes
from tests.builders import a_screened_study, an_admitted_study

__all__ = ["eyes"]


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
    eyes.look(page, "a length and a mark")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?signed=*")
    open_study(page, study.study_id)
    page.keyboard.press("v")
    page.wait_for_selector(".pane.prior[data-state=full]")
    page.locator(".history button[data-show-marks]").click()
    settle(page)
    eyes.look(page, "a prior beside a study with its marks")
    assert "\n".join(eyes.objections) == ""


def test_a_label_can_be_read_on_any_picture(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs)
    page = open_study(signed_in("alice", Role.RADIOLOGIST), study.study_id)
    page.keyboard.press("d")
    draw(page, (-150, -120), (-30, -120))
    page.keyboard.press("x")
    draw(page, (-100, -40), (20, 40))
    for invert in (False, True):
        if invert:
            page.keyboard.press("i")
        for theme in ("dark", "light"):
            page.evaluate(_WEAR, theme)
            labels = page.evaluate(_LABELS)
            assert len(labels) == 2
            for words, colour, plate in labels:
                assert words
                assert plate[3] == 1, "nothing of the picture shines through"
                assert contrast(colour, plate) >= 4.5
    box = page.locator("#viewer canvas").bounding_box()
    page.keyboard.press("d")
    draw(page, (-box["width"] / 2 + 8, box["height"] / 2 - 8), (box["width"] / 2 - 8, box["height"] / 2 - 8))
    label = page.locator(".labels .length").last.bounding_box()
    assert label["x"] + label["width"] <= box["x"] + box["width"], "the label stays inside the picture"
    assert label["y"] + label["height"] <= box["y"] + box["height"]


_LABELS = """() => [...document.querySelectorAll('.labels span')].map((label) => {
  const { color, backgroundColor } = getComputedStyle(label);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const parts = (text) => [...numbers(text).slice(0, 3), numbers(text)[3] ?? 1];
  return [label.textContent, parts(color), parts(backgroundColor)];
})"""


def contrast(one: list[float], other: list[float]) -> float:
    """Of two colours, as WCAG 2 has it."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour[:3]]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


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
