"""Undo in a real browser: by button and by key, counting down, and gone when the time is over."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import Study, Withdrawal
from app.settings import settings
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_screened_study


def test_a_correction_is_undone_by_a_key_and_comes_back_as_it_was_filled_in(
    signed_in: SignIn, blobs: Blobs
) -> None:
    first, second = a_screened_study(blobs, tags={"PatientName": "Doe^Jane"}), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.fill("#comment", "Motion. <b>Old</b> fracture.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    assert "Signed: Doe, Jane" in page.inner_text("#just-signed [role=status]")
    assert "pneumonia absent" in page.inner_text("#just-signed [role=status]")
    page.keyboard.press("Control+z")
    page.wait_for_url(f"**/studies/{first.study_id}")
    assert "You took this signature back." in page.inner_text("#taken-back")
    assert page.input_value("#comment") == "Motion. <b>Old</b> fracture."
    assert page.locator('input[value="absent"]').is_checked()
    assert "Held by you" in page.inner_text("#held")
    assert [study.state for study in stored(Study) if study.id == first.study_id] == ["claimed"]
    page.wait_for_selector("#viewer[data-state=full]")
    page.wait_for_timeout(600)
    page.locator("#correct button[data-signs]").click()
    page.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    assert len(stored(Withdrawal)) == 1


def test_the_key_undoes_nothing_while_somebody_types(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, first.study_id)
    page.keyboard.press("1")
    page.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    page.evaluate("() => { document.getElementById('correction').open = true; }")
    page.fill("#comment", "Typed.")
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert stored(Withdrawal) == []


def test_the_button_counts_down_and_goes_when_the_time_is_over(
    signed_in: SignIn, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UNDO_SECONDS", "4")
    settings.cache_clear()
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    seen = {page.inner_text("[data-countdown]")}
    page.wait_for_timeout(1100)
    seen.add(page.inner_text("[data-countdown]"))
    assert len(seen) == 2, seen
    assert seen <= {"4 s", "3 s", "2 s", "1 s"}
    page.wait_for_selector("#undo", state="detached")
    assert "It can no longer be undone; amend it instead." in page.inner_text("#just-signed [role=status]")
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    assert stored(Withdrawal) == []


def test_undo_on_the_empty_worklist_leads_back_though_the_list_is_live(
    signed_in: SignIn, blobs: Blobs
) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    page.wait_for_selector("#live[data-live=on]")

    def slowly(route: Any) -> None:
        answer = route.fetch()
        time.sleep(1)  # the list hears of the undone study before the answer is here
        route.fulfill(response=answer)

    page.route("**/undo", slowly)
    page.keyboard.press("Control+z")
    page.wait_for_url(f"**/studies/{admission.study_id}")
    assert "You took this signature back." in page.inner_text("#taken-back")


def test_a_button_pressed_twice_undoes_once(signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    open_painted(page, admission.study_id)
    page.keyboard.press("1")
    page.wait_for_url("**/?signed=*")
    page.dblclick("#undo button")
    page.wait_for_url(f"**/studies/{admission.study_id}")
    assert len(stored(Withdrawal)) == 1


def test_undo_works_without_scripts(chromium: Any, server: str, signed_in: SignIn, blobs: Blobs) -> None:
    admission = a_screened_study(blobs)
    scripted = signed_in("alice", Role.RADIOLOGIST)
    plain = chromium.new_context(
        java_script_enabled=False, base_url=server, storage_state=scripted.context.storage_state()
    )
    page = plain.new_page()
    page.goto(f"/studies/{admission.study_id}")
    page.click("#confirm button")
    page.wait_for_url("**/?signed=*")
    page.click("#undo button")
    page.wait_for_url(f"**/studies/{admission.study_id}")
    assert "You took this signature back." in page.inner_text("#taken-back")
    plain.close()
