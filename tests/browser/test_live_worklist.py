"""The worklist in a browser: it hears of every change, moves nothing under the hand, is walked by keys."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import consult, review
from app.domain.order import Lane
from app.domain.roles import Role
from app.records import Study, User
from app.records.base import now
from app.records.engine import transaction
from app.web import events
from tests.browser.conftest import SignIn
from tests.browser.pages import open_painted, rows
from tests.builders import (
    a_bundle,
    a_screened_study,
    a_signed_study,
    a_user,
    an_admitted_study,
    claimed,
    image_read,
)
from tests.builders import record as recorded

EVENTS = "**/api/v1/events"


def test_a_new_study_announces_itself_and_nothing_jumps(signed_in: SignIn, blobs: Blobs) -> None:
    waiting = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    page.mouse.move(400, 300)
    before = page.locator("#rows tr[data-study]").first.bounding_box()
    arrived = an_admitted_study(blobs)
    page.wait_for_selector("#news:visible")
    assert page.locator("#news").inner_text().startswith("1 new study")
    assert page.locator("#spoken").inner_text() == "1 new study"
    assert rows(page) == [str(waiting.study_id)]
    assert page.locator("#rows tr[data-study]").first.bounding_box() == before
    assert page.locator("#unsigned").inner_text() == "2"
    page.keyboard.press("u")
    page.wait_for_function("() => document.querySelectorAll('#rows tr[data-study]').length === 2")
    assert rows(page) == [str(arrived.study_id), str(waiting.study_id)]
    assert page.locator("#news").is_hidden()


def test_a_row_changes_where_it_stands_when_the_network_has_read_it(signed_in: SignIn, blobs: Blobs) -> None:
    with transaction() as session:
        a_bundle(session)
    admission = an_admitted_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    row = page.locator(f"#s-{admission.study_id}")
    assert "Waiting for the network" in row.inner_text()
    page.keyboard.press("j")
    with transaction() as session:
        [study] = claimed(session)
        recorded(session, study, image_read(admission.image_id, probability=0.93))
    page.wait_for_selector(f"#s-{admission.study_id}[data-lane=rule-in]")
    assert "Pneumonia likely\n0.93" in row.inner_text() or "Pneumonia likely 0.93" in row.inner_text()
    focused = page.evaluate("() => document.activeElement.closest('tr')?.dataset.study")
    assert focused == str(admission.study_id), "the reader's place is kept"


def test_what_grows_or_goes_above_it_moves_no_row_under_the_pointer(signed_in: SignIn, blobs: Blobs) -> None:
    hovered = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02)
    above = an_admitted_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    row = page.locator(f"#s-{hovered.study_id}")
    row.hover()
    before, height = row.bounding_box()["y"], page.locator(f"#s-{above.study_id}").bounding_box()["height"]
    with transaction() as session:
        [study] = claimed(session)
        recorded(session, study, image_read(above.image_id, notices=("unlike the training images",) * 3))
    page.wait_for_selector(f"#s-{above.study_id}[data-lane=rule-in]")
    assert page.locator(f"#s-{above.study_id}").bounding_box()["height"] > height + 10
    assert row.bounding_box()["y"] == pytest.approx(before, abs=1)
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        alice = session.scalars(select(User.id).where(User.username == "alice")).one()
        review.claim(session, study_id=above.study_id, by=bob, minutes=5)
        opinion = consult.ask(session, study_id=above.study_id, of=alice, question="Left?", by=bob)
    page.wait_for_selector("#asked >> text=Asked of you")
    page.wait_for_timeout(400)
    assert row.bounding_box()["y"] == pytest.approx(before, abs=1), "though a question stands above the list"
    with transaction() as session:
        consult.withdraw(session, opinion_id=opinion, by=bob)
    page.wait_for_selector("#asked >> text=Asked of you", state="detached")
    page.wait_for_timeout(400)
    assert row.bounding_box()["y"] == pytest.approx(before, abs=1), "and when it is gone"


def test_a_wait_ages_before_the_readers_eyes(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install()
    page.route("**/api/v1/events", lambda route: None)  # no news renews the row meanwhile
    page.goto("/")
    wait = page.locator("[data-wait]")
    assert wait.inner_text().endswith(" s")
    plain = wait.evaluate("(cell) => getComputedStyle(cell).color")
    page.clock.fast_forward("02:05:00")
    page.clock.run_for(11_000)
    assert wait.inner_text() == "2 h 05"
    assert wait.evaluate("(cell) => getComputedStyle(cell).color") != plain
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("hours_off", [3, -3])
def test_waits_and_what_is_due_go_by_the_servers_clock_and_not_by_the_workstations(
    signed_in: SignIn, blobs: Blobs, hours_off: int
) -> None:
    study_id = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02).study_id
    came = now() - timedelta(hours=6, minutes=30)
    with transaction() as session:
        session.execute(update(Study).where(Study.id == study_id).values(arrived_at=came, rank_at=came))
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install(time=now() + timedelta(hours=hours_off))
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    wait, line = page.locator("[data-wait]"), page.locator("tr.section[data-part=waiting] + tr[data-study]")
    page.clock.run_for(11_000)
    assert (wait.inner_text(), wait.get_attribute("data-age")) == ("6 h 30", "long")
    assert line.get_attribute("data-study") == str(study_id)
    page.clock.fast_forward("01:00:00")  # as a machine whose time runs away: the next news sets it right
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
    with page.expect_response("**/worklist/rows*"), transaction() as session:
        review.claim(session, study_id=study_id, by=bob, minutes=5)
    page.wait_for_selector("text=Held by bob")
    page.clock.run_for(11_000)
    assert wait.inner_text() == "6 h 30"
    assert line.get_attribute("data-study") == str(study_id)


def test_a_study_that_is_signed_waits_no_longer_before_the_readers_eyes(
    signed_in: SignIn, blobs: Blobs
) -> None:
    signed = a_signed_study(blobs, ago=timedelta(0))
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install()
    page.route("**/api/v1/events", lambda route: None)  # no news renews the row meanwhile
    page.goto("/?section=done")
    wait = page.locator(f"#s-{signed} .wait")
    waited = wait.inner_text()
    assert waited.endswith(" s")
    page.clock.fast_forward("09:00:00")
    page.clock.run_for(11_000)
    assert (wait.inner_text(), wait.get_attribute("data-age")) == (waited, None)
    page.unroute_all(behavior="ignoreErrors")


def test_a_quiet_list_takes_in_what_is_new_by_itself(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    an_admitted_study(blobs)
    page.wait_for_function(
        "() => document.querySelectorAll('#rows tr[data-study]').length === 2", timeout=20_000
    )


def test_the_first_study_appears_on_an_empty_worklist(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    assert "Nothing waits to be read." in page.inner_text("main")
    page.wait_for_selector("#live[data-live=on]")
    admission = an_admitted_study(blobs)
    page.wait_for_selector(f"#s-{admission.study_id}")


def test_a_page_that_loads_itself_anew_does_not_call_off_the_way_to_another(
    signed_in: SignIn, blobs: Blobs
) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    held: list[Any] = []
    page.route("**/account", lambda route: held.append(route))  # noqa: PLW0108  (playwright marks the handler)
    page.wait_for_timeout(3000)  # the list has looked what it missed before it listened
    page.evaluate("location.assign('/account')")
    with page.expect_response("**/worklist/rows*"):  # the empty list gets a table
        an_admitted_study(blobs)
    page.wait_for_timeout(500)
    held[0].continue_()
    page.wait_for_url("**/account")


def test_a_study_signed_elsewhere_is_marked_and_not_pulled_away(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    alice, bob = signed_in("alice", Role.RADIOLOGIST), signed_in("bob", Role.RADIOLOGIST)
    bob.wait_for_selector("#live[data-live=on]")
    bob.mouse.move(400, 300)
    open_painted(alice, first.study_id)
    alice.keyboard.press("1")
    alice.wait_for_url(f"**/studies/{second.study_id}?signed=*")
    bob.wait_for_selector(f"#s-{first.study_id}.gone")
    assert "Signed" in bob.locator(f"#s-{first.study_id}").inner_text()
    assert len(rows(bob)) == 2


def test_the_worklist_is_walked_and_opened_by_keys(signed_in: SignIn, blobs: Blobs) -> None:
    first, second = a_screened_study(blobs), a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    assert "Open the study" in page.inner_text("#help")
    page.keyboard.press("?")
    page.wait_for_selector("#help", state="hidden")
    page.keyboard.press("j")
    assert page.locator("tr.here").get_attribute("data-study") == str(first.study_id)
    page.keyboard.press("ArrowDown")
    assert page.locator("tr.here").get_attribute("data-study") == str(second.study_id)
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{first.study_id}")
    page.keyboard.press("l")
    page.wait_for_url("**/")


def test_a_lost_connection_is_said_and_made_up_for(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    page.mouse.move(400, 300)
    page.context.set_offline(True)
    page.wait_for_selector("#live[data-live=off]")
    assert page.inner_text("#live") == "reconnecting"
    an_admitted_study(blobs)
    page.context.set_offline(False)
    page.wait_for_selector("#live[data-live=on]", timeout=30_000)
    page.wait_for_selector("#news:visible")
    assert page.locator("#news").inner_text().startswith("1 new study")


def test_a_connection_that_falls_silent_is_made_anew(signed_in: SignIn, blobs: Blobs) -> None:
    page = signed_in("alice", Role.RADIOLOGIST)
    a_screened_study(blobs)
    page.clock.install()
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    page.clock.run_for(30_000)  # of the page's time, in which nothing can be heard
    assert page.inner_text("#live") == "live"
    with page.expect_request("**/api/v1/events"):
        page.clock.run_for(20_000)
    page.wait_for_selector("#live[data-live=on]")


def cut_off(page: Any, status: int) -> list[str]:
    """The stream is made anew, and its address answers so from now on. Who asked it, while they ask."""
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.resource_type)
        route.fulfill(status=status, content_type="text/html", body="Bad Gateway")

    page.route(EVENTS, refuse)
    with page.expect_response(
        lambda answer: answer.request.resource_type == "fetch" and EVENTS[2:] in answer.url
    ):
        page.evaluate("dispatchEvent(new Event('online'))")
    return asked


def wait_in_vain(page: Any) -> None:
    """A minute and more of the page's time, and as long as it takes to be refused once in it."""
    with page.expect_response(
        lambda answer: answer.request.resource_type == "fetch" and EVENTS[2:] in answer.url
    ):
        page.clock.run_for(66_000)


def test_a_page_whose_stream_is_refused_while_the_service_starts_comes_back(
    signed_in: SignIn, blobs: Blobs
) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install()
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    page.mouse.move(400, 300)
    asked = cut_off(page, 502)
    for _attempt in range(3):
        wait_in_vain(page)
    assert page.inner_text("#live") == "reconnecting"
    assert 4 <= asked.count("eventsource") <= 8, "with growing pauses"
    an_admitted_study(blobs)
    page.unroute(EVENTS)
    page.clock.run_for(66_000)
    page.wait_for_selector("#live[data-live=on]")
    with page.expect_response("**/worklist/page*"):
        page.clock.run_for(1000)
    page.wait_for_selector("#news:visible")
    assert page.locator("#news").inner_text().startswith("1 new study")


def test_a_study_page_whose_stream_was_refused_hears_of_its_study_again(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        review.claim(session, study_id=study_id, by=bob, minutes=5)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install()
    with page.expect_response(EVENTS):
        page.goto(f"/studies/{study_id}")
    cut_off(page, 502)
    wait_in_vain(page)
    with transaction() as session:
        review.release(session, study_id=study_id, by=bob)
    page.wait_for_timeout(300)
    assert "Held by bob" in page.inner_text("#held")
    page.unroute(EVENTS)
    page.clock.run_for(66_000)
    page.wait_for_selector("#held", state="hidden")


def test_a_page_that_may_listen_no_longer_asks_no_more(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.clock.install()
    page.goto("/")
    page.wait_for_selector("#live[data-live=on]")
    asked = cut_off(page, 403)
    page.wait_for_selector("#live >> text=not live")
    page.clock.run_for(300_000)
    page.wait_for_timeout(300)
    assert asked == ["eventsource", "fetch"]
    assert page.inner_text("#live") == "not live"


def test_a_quiet_stream_is_heard_to_be_alive(
    signed_in: SignIn, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 1)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    heard = page.evaluate("""() => new Promise((done, failed) => {
      const stream = new EventSource("/api/v1/events");
      stream.addEventListener("beat", (event) => { stream.close(); done(event.data); });
      setTimeout(() => failed(new Error("not a beat")), 10_000);
    })""")
    assert heard == "{}"


def test_a_page_out_of_sight_holds_no_connection_and_catches_up(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    see = """(hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.wait_for_timeout(3000)  # the list has looked what it missed before it listened
    page.evaluate(see, True)
    an_admitted_study(blobs)
    page.wait_for_timeout(800)
    assert page.locator("#news").is_hidden()
    page.mouse.move(300, 300)
    page.evaluate(see, False)
    page.wait_for_selector("#news:visible")
    assert page.locator("#news").inner_text().startswith("1 new study")


def test_a_page_whose_session_has_ended_leads_to_the_sign_in(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    page.context.clear_cookies()
    an_admitted_study(blobs)
    page.wait_for_url("**/sign-in?next=/")


def test_of_a_busy_server_a_page_asks_less_often_and_one_thing_at_a_time(
    signed_in: SignIn, blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    page.evaluate(
        """() => {
          const ask = window.fetch;
          window.asked = [];
          window.fetch = async (address, options) => {
            if (!String(address).startsWith("/worklist/rows")) return ask(address, options);
            const question = { began: performance.now() };
            window.asked.push(question);
            await new Promise((resolve) => setTimeout(resolve, 200));
            const answer = await ask(address, options);
            await answer.clone().json();
            question.ended = performance.now();
            return answer;
          };
        }"""
    )
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
    held = False
    while page.evaluate("() => window.asked.filter((question) => question.ended).length") < 3:
        with transaction() as session:
            if held:
                review.release(session, study_id=study_id, by=bob)
            else:
                review.claim(session, study_id=study_id, by=bob, minutes=5)
        held = not held
        page.wait_for_timeout(50)
    asked = page.evaluate("() => window.asked.filter((question) => question.ended)")
    for one, following in pairwise(asked):
        assert following["began"] - one["ended"] >= 8 * (one["ended"] - one["began"])


def test_what_was_missed_is_looked_at_as_soon_as_it_can_be_though_no_news_comes(
    signed_in: SignIn, blobs: Blobs
) -> None:
    a_screened_study(blobs)
    page = signed_in("alice", Role.RADIOLOGIST)
    asked: list[str] = []

    def stream(route: Any) -> None:
        """Breaks off each time, the first time after it has told that something was missed."""
        asked.append("stream")
        missed = "id: a-1\nevent: resync\ndata: {}\n\n" if asked.count("stream") == 1 else ""
        route.fulfill(content_type="text/event-stream", body=f"retry: 200\n\n{missed}")

    def look(route: Any) -> None:
        asked.append("look")
        if asked.count("look") == 1:
            route.abort()
        else:
            route.continue_()

    page.route(EVENTS, stream)
    page.route("**/worklist/page*", look)
    page.goto("/")
    an_admitted_study(blobs)
    page.mouse.move(400, 300)
    page.wait_for_selector("#news:visible")
    assert page.locator("#news").inner_text().startswith("1 new study")
    assert asked.count("look") == 2
    page.unroute_all(behavior="ignoreErrors")


def test_an_answer_of_somebody_else_s_stops_no_list(signed_in: SignIn, blobs: Blobs) -> None:
    study_id = a_screened_study(blobs).study_id
    page = signed_in("alice", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    answers: list[str] = []

    def instead(route: Any) -> None:
        answers.append(route.request.url)
        if len(answers) == 1:
            route.fulfill(content_type="application/json", body='{"maintenance": true}')
        else:
            route.continue_()

    page.route("**/worklist/rows*", instead)
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        review.claim(session, study_id=study_id, by=bob, minutes=5)
    page.wait_for_selector("text=Held by bob")
    page.route(
        "**/worklist/page*",
        lambda route: route.fulfill(content_type="text/html", body="<title>Back soon</title>"),
    )
    page.evaluate("() => dispatchEvent(new Event('online'))")
    with transaction() as session:
        review.release(session, study_id=study_id, by=bob)
    page.wait_for_timeout(1000)
    page.unroute("**/worklist/page*")
    page.wait_for_selector("text=Held by bob", state="detached")
    page.unroute_all(behavior="ignoreErrors")
