"""Similar confirmed cases by keyboard, on the study page, and nothing fetched before somebody asks."""

from __future__ import annotations

from sqlalchemy import select

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.roles import Role
from app.records import AuditEvent
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.builders import a_screened_study, a_signed_study, towards


def asked_for() -> int:
    with transaction() as session:
        asking = AuditEvent.action == "study.similar-asked"
        return len(session.scalars(select(AuditEvent).where(asking)).all())


def test_cases_are_fetched_when_a_key_asks_and_opened_by_keyboard(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    asked = a_screened_study(blobs, embedding=towards(0), patient_id="asked").study_id
    near = a_signed_study(blobs, embedding=towards(10), patient_id="near", say=Statement.ABSENT)
    for turn in (30, 50):
        a_signed_study(blobs, embedding=towards(turn), patient_id=f"p{turn}")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"/studies/{asked}")
    page.wait_for_selector("#viewer[data-state=full]")
    assert not page.locator("#similar").get_attribute("open")
    assert (asked_for(), [url for url in requests if "similar?" in url or "thumbnail" in url]) == (0, [])
    page.keyboard.press("s")
    page.wait_for_selector("#similar .cases li")
    assert page.locator("#similar .cases li").count() == 3
    assert asked_for() == 1
    first = page.locator("#similar .cases li").first
    assert "Pneumonia absent" in first.inner_text()
    assert "corrected" in first.inner_text()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#similar img')].every((i) => i.complete && i.naturalWidth > 0)"
    )
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Tab")
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    opened.value.wait_for_load_state()
    assert opened.value.url.endswith(f"/studies/{near}")
    page.keyboard.press("s")
    assert page.locator("#similar").get_attribute("open") is None
    page.keyboard.press("s")
    page.wait_for_timeout(200)
    assert asked_for() == 1, "what was fetched is shown again, not fetched again"


def test_a_letter_in_the_comment_asks_for_nothing(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    asked = a_screened_study(blobs, embedding=towards(0)).study_id
    page.goto(f"/studies/{asked}")
    page.wait_for_selector("#viewer[data-state=full]")
    page.keyboard.press("2")
    page.fill("#comment", "")
    page.focus("#comment")
    page.keyboard.type("small opacity")
    assert page.input_value("#comment") == "small opacity"
    assert page.locator("#similar").get_attribute("open") is None
    assert asked_for() == 0


def test_where_the_answer_does_not_come_it_can_be_asked_again(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    asked = a_screened_study(blobs, embedding=towards(0), patient_id="asked").study_id
    page.goto(f"/studies/{asked}")
    page.wait_for_selector("#viewer[data-state=full]")
    page.route("**/similar?**", lambda route: route.abort())
    page.keyboard.press("s")
    page.wait_for_selector("#similar :text('could not be looked up')")
    page.unroute("**/similar?**")
    page.keyboard.press("s")
    page.keyboard.press("s")
    page.wait_for_selector("#similar :text('signed yet')")
