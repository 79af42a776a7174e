"""Adjudication by hand: two readers differ, a third sees both side by side and settles it."""

from __future__ import annotations

from typing import Any

from app.blobs import Blobs
from app.domain.roles import Role
from app.records import Adjudication
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, stored
from tests.builders import a_screened_study

TALLY = "nav [data-tally]"


def says(page: Any, study_id: Any, key: str) -> None:
    open_painted(page, study_id)
    page.keyboard.press("2")
    page.check(f"#correction input[value={key}]")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**?signed=*")


def test_a_third_radiologist_settles_what_two_disagree_on(signed_in: SignIn, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    alice, bob, carol = (signed_in(name, Role.RADIOLOGIST) for name in ("alice", "bob", "carol"))
    assert carol.locator(TALLY).count() == 0
    says(alice, study_id, "present")
    says(bob, study_id, "absent")
    bob.goto(f"/studies/{study_id}")
    assert "You have read this study." in bob.inner_text("#adjudicate")
    assert bob.locator("input[name=adjudicates]").count() == 0
    carol.goto("/adjudication")
    assert carol.inner_text(TALLY) == "1"
    assert carol.inner_text(".positions tbody tr").split() == ["Pneumonia", "differ", "present", "absent"]
    carol.click("text=Open and adjudicate")
    carol.wait_for_selector("#viewer[data-state=full]")
    carol.wait_for_timeout(600)
    assert carol.is_checked("input[name=adjudicates]")
    assert carol.locator("#correction input[type=radio]:checked").count() == 0, "neither side is filled in"
    carol.check("#correction input[value=present]")
    carol.click("#correct button[data-signs]")
    carol.wait_for_selector(".history >> text=adjudicated")
    assert carol.locator(TALLY).count() == 0
    assert [one.by_a_party for one in stored(Adjudication)] == [False]
