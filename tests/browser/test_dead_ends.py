"""Where a reader could get stuck: a session that ends, a narrow screen, a key that does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.domain.order import Lane
from app.domain.roles import Role
from app.records import Review, Study
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import drafts_kept, open_painted, outcomes, write_files
from tests.builders import PASSWORD, a_png, a_screened_study, an_admitted_study

COMMENT = "Seen with the mother; motion."


def reviews() -> list[Review]:
    with transaction() as session:
        return list(session.scalars(select(Review)))


def fill_in(page: Any, study_id: Any) -> None:
    open_painted(page, study_id)
    page.keyboard.press("2")
    page.wait_for_selector("#held:visible")
    page.keyboard.press("n")
    page.fill("#comment", COMMENT)


def sign_in_again(page: Any, name: str) -> None:
    page.fill("#username", name)
    page.fill("#password", PASSWORD)
    page.click("button.main")


def test_a_session_that_ends_before_the_signature_costs_no_word(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    fill_in(page, study)
    page.context.clear_cookies()
    page.click("#correct button[data-signs]")
    page.wait_for_url(f"**/sign-in?next=/studies/{study}")
    assert reviews() == []
    sign_in_again(page, "alice")
    page.wait_for_url(f"**/studies/{study}")
    assert "it is not signed" in page.inner_text("#restored")
    assert page.input_value("#comment") == COMMENT
    assert page.locator('input[value="absent"]').is_checked()
    page.click("#correct button[data-signs]")
    page.wait_for_url(f"**/?signed={study}")
    assert [(review.findings, review.comment) for review in reviews()] == [({"pneumonia": "absent"}, COMMENT)]
    page.goto(f"/studies/{study}")
    assert page.locator("#restored").is_hidden()
    assert page.input_value("#comment") == ""


def test_what_one_person_filled_in_is_not_shown_to_the_next(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    bob = signed_in("bob", Role.RADIOLOGIST)
    bob.context.close()
    page = signed_in("alice", Role.RADIOLOGIST)
    fill_in(page, study)
    page.locator("form[data-release] button").click()
    page.wait_for_url("**/")
    page.context.clear_cookies()
    page.goto(f"/studies/{study}")
    sign_in_again(page, "bob")
    page.wait_for_url(f"**/studies/{study}")
    page.wait_for_selector("#viewer[data-state=full]")
    assert page.input_value("#comment") == ""
    assert drafts_kept(page) == []


def test_signing_out_forgets_what_was_filled_in(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    fill_in(page, study)
    assert drafts_kept(page) == [f"draft:{study}"]
    page.click("form[action='/sign-out'] button")
    page.wait_for_url("**/sign-in")
    assert drafts_kept(page) == []


def test_an_open_study_says_that_its_session_has_ended(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.context.clear_cookies()
    page.keyboard.press("2")  # claims, and asks how the study stands
    page.wait_for_selector("#ended:visible")
    assert page.get_attribute("#ended a", "href") == f"/sign-in?next=/studies/{study}"


def test_a_key_leads_back_to_the_study_just_signed(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first)
    page.keyboard.press("1")
    page.wait_for_url(f"**/studies/{second}?signed={first}")
    page.keyboard.press("b")
    page.wait_for_url(f"**/studies/{first}")
    assert "alice confirmed and signed" in page.inner_text(".history")


def test_the_key_of_a_withheld_map_says_why_there_is_none(signed_in: SignIn, blobs: Blobs) -> None:
    study = a_screened_study(blobs, explanations=None).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, study)
    page.keyboard.press("h")
    assert page.get_attribute("[data-map-withheld]", "open") is not None
    page.keyboard.press("?")
    assert "Why there is no heat map" in page.inner_text("#help")


@pytest.mark.parametrize("width", [390, 760])
def test_a_narrow_worklist_shows_all_that_tells_why_a_study_stands_there(
    signed_in: SignIn, blobs: Blobs, width: int
) -> None:
    a_screened_study(blobs)
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    an_admitted_study(blobs, patient_age=None)
    page = signed_in("alice", Role.RADIOLOGIST, width=width, height=844)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.wait_for_selector("#live[data-live=on]")
    hidden = page.evaluate(
        "() => [...document.querySelectorAll('#rows tr td, #rows tr .chip, #rows .why, #rows .wait')]"
        ".filter((part) => { const box = part.getBoundingClientRect();"
        " return !part.checkVisibility() || box.left < 0 || box.right > window.innerWidth; })"
        ".map((part) => part.textContent)"
    )
    assert hidden == []
    assert page.locator("#rows .why").count() == 3


@pytest.mark.parametrize(("width", "height"), [(820, 1180), (1024, 768), (1280, 800), (3840, 2160)])
def test_every_column_of_the_worklist_stands_whole_below_its_head(
    signed_in: SignIn, blobs: Blobs, width: int, height: int
) -> None:
    a_screened_study(blobs)
    an_admitted_study(blobs, patient_age=None)
    page = signed_in("alice", Role.RADIOLOGIST, width=width, height=height)
    page.wait_for_selector("#live[data-live=on]")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(_NOT_WHOLE) == []
    heads = [head.partition("?")[0].strip() for head in page.locator("thead th").all_inner_texts()]
    assert heads == ["Lane", "Patient", "Study", "First read, and why it stands here", "Waiting", "State"]
    page.click("#filters summary")
    page.uncheck("[name=columns][value=study]")
    page.click("#filters form[action='/worklist/columns'] button")
    page.wait_for_selector("#live[data-live=on]")
    assert not page.is_visible("#rows td.col-study")
    assert page.evaluate(_NOT_WHOLE) == []


_NOT_WHOLE = """() => {
  const table = document.querySelector('.worklist');
  const heads = [...table.querySelectorAll('thead th')];
  const wrong = [];
  for (const cell of table.querySelectorAll('th, tr[data-study] td')) {
    if (!cell.checkVisibility()) continue;
    const box = cell.getBoundingClientRect();
    const name = `${cell.className}: ${cell.textContent.trim().slice(0, 40)}`;
    if (box.left < 0 || box.right > innerWidth || cell.scrollWidth > cell.clientWidth + 1) wrong.push(name);
    if (cell.tagName === 'TD') {
      const head = heads[cell.cellIndex].getBoundingClientRect();
      if (Math.abs(head.left - box.left) > 5) wrong.push(`${name} is not below its head`);
    }
  }
  return wrong;
}"""


@pytest.mark.parametrize(("width", "height"), [(820, 1180), (1280, 800), (3840, 2160)])
def test_no_mark_of_the_worklist_is_cut_off(signed_in: SignIn, blobs: Blobs, width: int, height: int) -> None:
    a_screened_study(blobs)
    blind = a_screened_study(blobs).study_id
    with transaction() as session:
        session.get_one(Study, blind).blind = True
    an_admitted_study(blobs, patient_age=None)
    page = signed_in("alice", Role.RADIOLOGIST, width=width, height=height)
    cut_off = page.evaluate(
        "() => [...document.querySelectorAll('#rows .chip, #rows .wait')].filter((mark) => {"
        " const cell = mark.closest('td');"
        " const end = cell.getBoundingClientRect().right - parseFloat(getComputedStyle(cell).paddingRight);"
        " return mark.getBoundingClientRect().right > end + 1; }).map((mark) => mark.textContent)"
    )
    assert cut_off == []
    assert "Blind read" in page.inner_text("#rows")


def test_a_narrow_upload_page_shows_each_outcome(signed_in: SignIn, tmp_path: Path) -> None:
    files = write_files(tmp_path / "in")
    long = tmp_path / f"{'a long name ' * 12}.png"
    long.write_bytes(a_png())
    page = signed_in("ivan", Role.INTEGRATOR, width=390, height=844)
    page.goto("/upload")
    page.set_input_files("#files", [*files, long])
    outcomes(page)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    for cell in page.locator("#rows .outcome, #rows .file").all():
        box = cell.bounding_box()
        assert box["width"] > 150
        assert box["x"] + box["width"] <= 390
