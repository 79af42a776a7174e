"""The next study's page is made while one is read: seen by nobody and signed by no key until it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import review
from app.domain.roles import Role
from app.records import AuditEvent, Review, Study, Withdrawal
from app.records.engine import transaction
from bench.chromium import Tab, tab
from tests.browser.conftest import CHROMIUM
from tests.browser.pages import stored
from tests.builders import PASSWORD, a_screened_study, a_user
from tests.served import eventually

_FULL = "document.querySelector('#viewer')?.dataset.state === 'full'"
_COVERED = "('ahead' in document.getElementById('content').dataset)"
_CLOCK = """
addEventListener("study-shown", () => { window.shownAt = performance.now(); }, true);
window.streams = 0;
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); window.streams += 1; }
};
"""


@pytest.fixture
def reader(server: str) -> Iterator[Tab]:
    """A tab in which alice, a radiologist, is signed in."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs a browser at {CHROMIUM}: install chromium or set FIRSTREAD_CHROMIUM")
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
    with tab(str(CHROMIUM), on_new_page=_CLOCK) as page:
        page.goto(f"{server}/sign-in")
        page.fill(username="alice", password=PASSWORD)
        page.click("button.main")
        page.wait_for("location.pathname === '/' && document.readyState === 'complete'")
        yield page


def read(page: Tab, server: str, study: UUID) -> None:
    """The study is open, and the next one's page is made and waits."""
    page.goto(f"{server}/studies/{study}")
    page.wait_for(_FULL)
    eventually(lambda: page.evaluate_ahead(_FULL) == [True], seconds=30)


def happened(study: UUID) -> list[str]:
    wanted = ("study.sent-ahead", "study.viewed", "study.claimed")
    with transaction() as session:
        events = select(AuditEvent.action).where(AuditEvent.study_id == study, AuditEvent.action.in_(wanted))
        return [action.removeprefix("study.") for action in session.scalars(events.order_by(AuditEvent.id))]


def test_a_page_made_ahead_is_seen_by_nobody_and_shown_at_once_after_signing(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    assert reader.evaluate_ahead(
        "[location.pathname, content.checkVisibility({ visibilityProperty: true }),"
        " !!document.getElementById('viewer').dataset.painted, streams]"
    ) == [[f"/studies/{second}", False, True, 0]], "painted by then, and seen by nobody"
    assert happened(second) == ["sent-ahead"]
    eventually(lambda: happened(first)[-1] == "claimed", seconds=10)  # it is open, and hers
    assert {study.id: study.state for study in stored(Study) if study.id != first} == {
        second: "screened",
        third: "screened",
    }
    reader.press("1")
    reader.wait_for(f"location.href === '{server}/studies/{second}?signed={first}' && !!window.shownAt")
    assert reader.evaluate("performance.getEntriesByType('navigation')[0].activationStart") > 0
    assert happened(second)[:2] == ["sent-ahead", "viewed"]
    eventually(lambda: happened(second) == ["sent-ahead", "viewed", "claimed"], seconds=10)
    reader.wait_for("!!document.getElementById('undo')")
    assert reader.evaluate("document.getElementById('next-study').pathname") == f"/studies/{third}"
    reader.wait_for("streams === 1")
    eventually(lambda: happened(third) == ["sent-ahead"], seconds=30)


def test_the_half_second_of_signing_keys_begins_when_the_page_is_shown(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, _ = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    reader.rest(1)  # longer than the half second, and the picture is ready all the while
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && !!window.shownAt")
    # The keys are pressed in the page itself, so that a busy machine is not late.
    pressed = reader.evaluate("""new Promise((done) => {
      const press = () => document.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
      const sent = () => document.getElementById("confirm").dataset.sent !== undefined;
      let last = 0;
      const again = () => {
        press();
        if (sent()) return done(last);
        last = performance.now() - window.shownAt;
        setTimeout(again, 10);
      };
      again();
    })""")
    assert pressed >= 450, "the last press that signed nothing"
    eventually(lambda: len(stored(Review)) == 2, seconds=10)


def test_a_page_that_is_out_of_date_is_fetched_anew_before_anything_of_it_is_seen(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    with transaction() as session:  # a reading that came meanwhile, or whatever else changes the study
        study: Any = session.get(Study, second)
        study.study_description = "As it is now"
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && {_FULL} && !{_COVERED}")
    assert "As it is now" in reader.evaluate("document.getElementById('content').innerText")
    assert reader.evaluate("performance.getEntriesByType('navigation')[0].activationStart") == 0
    assert happened(second)[:2] == ["sent-ahead", "viewed"]
    assert third


def test_where_another_study_comes_next_the_ordinary_way_is_taken(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        review.claim(session, study_id=second, by=bob, minutes=5)
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{third}' && {_FULL}")
    assert happened(second) == ["sent-ahead", "claimed"], "never shown, and no view"
    assert "viewed" in happened(third)


def test_a_draft_and_the_theme_of_the_tab_are_those_of_when_the_page_is_shown(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    read(reader, server, first)
    reader.click("[data-theme-toggle]")
    draft = {"by": "alice", "findings": [], "comment": "half a word", "marks": "[]", "sent": False}
    reader.evaluate(f"sessionStorage.setItem('draft:{second}', {json.dumps(json.dumps(draft))})")
    reader.rest(0.2)
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && !!window.shownAt")
    reader.wait_for("document.getElementById('comment').value === 'half a word'")
    assert reader.evaluate("document.documentElement.dataset.theme") == "light"


_CLICKED = """new Promise((done) => {
  const form = document.getElementById("confirm");
  let last = 0;
  const again = () => {
    form.querySelector("button").click();
    if (form.dataset.sent !== undefined) return done(last);
    last = performance.now() - SINCE;
    setTimeout(again, 10);
  };
  again();
})"""
"""Clicks in the page itself, so that a busy machine is not late; the last click that signed nothing."""


def slow_to_tell(page: Tab, *, milliseconds: int) -> None:
    """The page that was made ahead hears that late of what was signed before."""
    page.evaluate_ahead(f"""(() => {{
      const ask = window.fetch;
      window.fetch = async (...what) => {{
        if (String(what[0]).includes("/onwards")) await new Promise((go) => setTimeout(go, {milliseconds}));
        return ask(...what);
      }};
      document.addEventListener("signature-told", () => {{ window.toldAt = performance.now(); }});
    }})()""")


def test_a_second_click_signs_nothing_of_the_study_that_opens_under_the_pointer(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    reader.rest(1)
    reader.click("#confirm button")
    reader.wait_for(f"location.pathname === '/studies/{second}' && !!window.shownAt")
    clicked = reader.evaluate(_CLICKED.replace("SINCE", "window.shownAt"))
    assert clicked >= 450, "the last click that signed nothing"
    eventually(lambda: len(stored(Review)) == 2, seconds=10)
    assert third not in {signed.study_id for signed in stored(Review)}


def test_a_click_on_what_the_note_of_the_signature_moved_signs_nothing(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, _ = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    reader.rest(1)
    slow_to_tell(reader, milliseconds=1500)
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && !!window.shownAt")
    told = "new Promise((go) => document.addEventListener('signature-told', () => setTimeout(go)))"
    clicked = reader.evaluate(f"{told}.then(() => {_CLICKED.replace('SINCE', 'window.toldAt')})")
    assert clicked >= 450, "the last click that signed nothing"


def test_an_undo_that_is_asked_for_before_it_is_offered_is_done(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, _ = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    reader.rest(1)
    slow_to_tell(reader, milliseconds=700)
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && !!window.shownAt")
    assert reader.evaluate("document.querySelector('#next-study').href") == "", "not the study just signed"
    reader.evaluate(
        "document.dispatchEvent(new KeyboardEvent('keydown', { key: 'z', ctrlKey: true, bubbles: true }))"
    )
    reader.wait_for(f"location.pathname === '/studies/{first}' && !!document.getElementById('taken-back')")
    assert len(stored(Withdrawal)) == 1


def test_a_page_that_cannot_be_uncovered_is_fetched_as_any_other(
    reader: Tab, server: str, blobs: Blobs
) -> None:
    first, second, _ = (a_screened_study(blobs).study_id for _ in range(3))
    read(reader, server, first)
    reader.rest(1)
    reader.evaluate_ahead("URLSearchParams.prototype.get = () => { throw new Error('broken'); }")
    reader.press("1")
    reader.wait_for(f"location.pathname === '/studies/{second}' && {_COVERED}")
    for key in "s2i?":
        reader.press(key)
    assert reader.evaluate(
        "[document.getElementById('similar').open, document.getElementById('help').open,"
        " document.getElementById('viewer').dataset.invert]"
    ) == [False, False, "false"], "no key acts on a covered page"
    reader.wait_for(f"{_FULL} && !{_COVERED}")
    assert reader.evaluate("performance.getEntriesByType('navigation')[0].type") == "reload"
    assert "viewed" in happened(second)
