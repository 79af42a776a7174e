"""The worklist driven by hand and keyboard: filters, search, sections, live rows under a filter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from app.blobs import Blobs
from app.domain.order import Lane
from app.domain.roles import Role
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.builders import a_screened_study, a_signed_study


def rows(page: Any) -> list[str]:
    return [row.get_attribute("data-study") for row in page.locator("#rows tr[data-study]").all()]


def test_a_filter_is_chosen_by_keyboard_and_stays_in_the_address(signed_in: SignIn, blobs: Blobs) -> None:
    ruled_in = a_screened_study(blobs).study_id
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    page = signed_in("ada", Role.RADIOLOGIST)
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "lane"
    page.select_option("select[name=lane]", "rule-in")
    page.click(".filter-form button.main")
    page.wait_for_url("**/?lane=rule-in*")
    assert rows(page) == [str(ruled_in)]
    page.fill("input[name=name]", "Urgent")
    page.click("form[action='/worklist/views'] button")
    page.wait_for_selector(".sections a:has-text('Urgent')[aria-current=page]")
    page.click(".sections a:has-text('To be read')")
    page.wait_for_selector("#rows tr.section[data-part=waiting]")
    assert len(rows(page)) == 2


def test_the_key_that_leads_from_a_study_back_to_the_list_keeps_the_filter(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    page = signed_in("ada", Role.RADIOLOGIST)
    page.goto(f"/?lane=rule-in&station=&signed={study_id}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{study_id}")
    page.keyboard.press("l")
    page.wait_for_url("**/?lane=rule-in&station=")
    page.goto(f"/studies/{study_id}")
    page.evaluate("document.body.dataset.user = 'somebody who signed in after her'")
    page.keyboard.press("l")
    page.wait_for_url("**/")
    page.goto(f"/studies/{study_id}")
    page.evaluate("sessionStorage.setItem('list', '{')")
    page.keyboard.press("l")
    page.wait_for_url("**/")


def test_a_column_that_was_not_chosen_is_out_of_sight_and_comes_back(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("ada", Role.RADIOLOGIST)
    heads = page.locator(".worklist thead th:visible")
    assert heads.count() == 6
    for shown in (4, 6):
        page.wait_for_selector("#live[data-live=on]")  # the page hears keys
        page.keyboard.press("f")
        for name in ("study", "waiting"):
            page.click(f"input[name=columns][value={name}]")
        page.click("form[action='/worklist/columns'] button")
        page.wait_for_function(
            "(count) => [...document.querySelectorAll('.worklist thead th')]"
            ".filter((head) => head.checkVisibility()).length === count",
            arg=shown,
        )
        cells = page.locator("#rows tr[data-study] td:visible")
        assert cells.count() == shown


def test_under_a_filter_only_arrivals_that_pass_it_announce_themselves(
    signed_in: SignIn, blobs: Blobs
) -> None:
    a_screened_study(blobs)
    page = signed_in("ada", Role.RADIOLOGIST)
    page.goto("/?lane=rule-in")
    page.wait_for_selector("#live[data-live=on]")
    assert page.locator("#filters summary").inner_text() == "Filter: 1 study passes, views and columns"
    page.mouse.move(300, 300)
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    second = a_screened_study(blobs, lane=Lane.RULE_IN, probability=0.97).study_id
    page.wait_for_selector("#news:not([hidden])")
    assert page.locator("#news").inner_text() == "1 new study: show"
    assert page.locator("#unsigned").inner_text() == "2"
    assert page.locator("#filters summary").inner_text() == "Filter: 2 studies pass, views and columns"
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{second}")
    assert len(rows(page)) == 2
    assert page.locator("#due").inner_text() == "2"


def test_a_search_leaves_nothing_of_the_patient_in_the_address(signed_in: SignIn, blobs: Blobs) -> None:
    a_signed_study(blobs, patient_id="P-77", tags={"PatientName": "Okafor^Ada"})
    page = signed_in("ada", Role.RADIOLOGIST)
    page.keyboard.press("/")
    page.keyboard.type("okafor")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Okafor, Ada")
    assert page.url.endswith("/worklist/search")
    assert "okafor" not in page.url.lower()


def test_what_a_search_found_is_walked_by_keys_and_opened_by_a_click_on_its_row(
    signed_in: SignIn, blobs: Blobs
) -> None:
    older, newer = (a_signed_study(blobs, patient_id="P-77") for _ in range(2))
    page = signed_in("ada", Role.RADIOLOGIST)
    for way in ("keys", "mouse"):
        page.goto("/")
        page.keyboard.press("/")
        page.keyboard.type("P-77")
        page.keyboard.press("Enter")
        page.wait_for_url("**/worklist/search")
        if way == "keys":
            page.keyboard.press("j")
            assert page.locator("tr.here").get_attribute("data-study") == str(newer)
            page.keyboard.press("ArrowDown")
            page.keyboard.press("/")
            assert page.evaluate("document.activeElement.id") == "search"
            page.locator("tr.here a.name").focus()
            page.keyboard.press("Enter")
        else:
            page.click(f"#s-{older} td.col-state")
        page.wait_for_url(f"**/studies/{older}")


def test_what_comes_due_crosses_the_line_before_the_readers_eyes(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = (a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02).study_id for _ in range(2))
    with transaction() as session:
        for study_id, waited in ((first, timedelta(hours=8) - timedelta(seconds=15)), (second, timedelta(0))):
            early = now() - waited
            session.execute(update(Study).where(Study.id == study_id).values(arrived_at=early, rank_at=early))
    page = signed_in("ada", Role.RADIOLOGIST)
    page.wait_for_selector("#rows tr.section[data-part=waiting]")
    follows = "() => document.querySelector('tr.section[data-part=waiting]').nextElementSibling.dataset.study"
    assert page.evaluate(follows) == str(first)
    assert (page.inner_text("#due"), page.inner_text("#not-due")) == ("0", "2")
    page.wait_for_function(
        f"() => ({follows})() === '{second}'",
        timeout=60_000,
    )
    page.wait_for_function(
        "() => ['due', 'not-due'].every((id) => document.getElementById(id).textContent === '1')"
    )


def test_done_today_has_columns_and_views_by_key_and_counts_what_passes_no_filter(
    signed_in: SignIn, blobs: Blobs
) -> None:
    a_signed_study(blobs, ago=timedelta(0))
    page = signed_in("ada", Role.RADIOLOGIST)
    page.goto("/?section=done&lane=rule-out")
    page.wait_for_selector("#live[data-live=on]")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "columns"
    assert page.locator("#filters summary").inner_text() == "Views and columns"
    with page.expect_response("**/worklist/rows*"):
        a_screened_study(blobs, lane=Lane.RULE_IN, probability=0.97)
    page.wait_for_function("() => document.getElementById('unsigned').textContent === '1'")
