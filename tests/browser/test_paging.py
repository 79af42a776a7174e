"""A long worklist grows as its reader goes down, stays where it is, and stays live to its last row."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, text, update

from app.blobs import Blobs
from app.domain.order import Lane
from app.domain.roles import Role
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from tests.browser.conftest import SignIn
from tests.browser.pages import listens, rows
from tests.builders import a_screened_study, an_admitted_study, sign

_COPIES = """
INSERT INTO studies SELECT row.* FROM studies, generate_series(1, :count) AS g,
    LATERAL jsonb_populate_record(NULL::studies, to_jsonb(studies) || jsonb_build_object(
        'id', gen_random_uuid(), 'study_instance_uid', '1.2.' || g, 'patient_id', 'P' || g,
        'arrived_at', arrived_at + g * interval '1 second',
        'rank_at', rank_at + g * interval '1 second')) AS row
"""


def many(blobs: Blobs, count: int) -> None:
    """So many studies wait, the last of them for half an hour."""
    a_screened_study(blobs)
    with transaction() as session:
        early = now() - timedelta(hours=1)
        session.execute(update(Study).values(arrived_at=early, rank_at=early))
        session.execute(text(_COPIES), {"count": count - 1})


def shown(page: Any, count: int) -> None:
    page.wait_for_function(
        "(count) => document.querySelectorAll('#rows tr[data-study]').length === count", arg=count
    )


def test_rows_are_appended_as_the_reader_scrolls_and_none_moves(signed_in: SignIn, blobs: Blobs) -> None:
    many(blobs, 170)
    page = signed_in("ada", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    before = rows(page)
    assert 50 <= len(before) < 170
    top = page.locator("#rows tr[data-study]").nth(3).bounding_box()
    for count in (100, 150, 170):
        page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
        page.wait_for_function(
            "(count) => document.querySelectorAll('#rows tr[data-study]').length >= count", arg=count
        )
    after = rows(page)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) == 170
    page.evaluate("() => window.scrollTo(0, 0)")
    assert page.locator("#rows tr[data-study]").nth(3).bounding_box() == top
    assert page.locator(".pager a[rel=next]").count() == 0
    assert page.locator("tr.section[data-part=now]").count() == 1
    assert page.locator("tr.section[data-part=waiting]").count() == 1


def test_the_end_is_passed_by_keyboard(signed_in: SignIn, blobs: Blobs) -> None:
    many(blobs, 60)
    page = signed_in("ada", Role.RADIOLOGIST)
    for _ in range(58):
        page.keyboard.press("j")
    page.wait_for_function("() => document.querySelectorAll('#rows tr[data-study]').length === 60")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#rows tr[data-study]')].at(-1).classList.contains('here')"
    )


def test_appended_rows_are_live_and_stay_when_the_list_renews_itself(signed_in: SignIn, blobs: Blobs) -> None:
    many(blobs, 120)
    last = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02).study_id
    page = signed_in("ada", Role.RADIOLOGIST, height=3000)
    page.wait_for_selector("#live[data-live=on]")
    shown(page, 121)
    assert rows(page)[-1] == str(last)
    page.mouse.move(300, 300)
    sign(last)
    page.wait_for_selector(f"#s-{last}.gone")
    arrived = an_admitted_study(blobs).study_id
    page.wait_for_selector("#news:visible")
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{arrived}")
    shown(page, 121)
    assert page.locator(f"#s-{last}").count() == 0


def test_a_list_that_grows_past_its_end_goes_on(signed_in: SignIn, blobs: Blobs) -> None:
    many(blobs, 50)
    page = signed_in("ada", Role.RADIOLOGIST)
    listens(page)
    shown(page, 50)
    assert page.locator(".pager a[rel=next]").count() == 0
    page.mouse.move(300, 300)
    new = [str(an_admitted_study(blobs).study_id) for _ in range(3)]
    page.wait_for_selector("#news:visible")
    page.wait_for_function("() => document.getElementById('unsigned').textContent === '53'")
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{new[-1]}")
    page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
    shown(page, 53)
    with transaction() as session:
        order = session.scalars(select(Study.id).order_by(Study.rank_at, Study.id)).all()
    assert rows(page) == [str(study_id) for study_id in order]


def test_a_list_that_renews_itself_while_it_grows_loses_no_row(signed_in: SignIn, blobs: Blobs) -> None:
    many(blobs, 170)
    page = signed_in("ada", Role.RADIOLOGIST)
    listens(page)
    shown(page, 50)
    held: list[Any] = []
    page.route(
        "**/worklist/page?*cursor=*",
        lambda route: route.continue_() if held else held.append(route),
    )
    page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
    for _ in range(100):
        if held:
            break
        page.wait_for_timeout(20)
    new = [str(an_admitted_study(blobs).study_id) for _ in range(3)]
    page.wait_for_selector("#news:visible")
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{new[-1]}")
    shown(page, 50)
    held[0].continue_()  # what comes after the last row of before
    for count in (100, 150, 173):
        page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
        page.wait_for_function(
            "(count) => document.querySelectorAll('#rows tr[data-study]').length >= count", arg=count
        )
    with transaction() as session:
        order = session.scalars(select(Study.id).order_by(Study.rank_at, Study.id)).all()
    assert rows(page) == [str(study_id) for study_id in order]


def test_a_long_list_that_has_looked_what_it_missed_rests_and_is_live(
    signed_in: SignIn, blobs: Blobs
) -> None:
    many(blobs, 219)
    last = a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02).study_id
    page = signed_in("ada", Role.RADIOLOGIST, height=3000)
    page.wait_for_selector("#live[data-live=on]")
    for count in (100, 150, 200, 220):
        page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
        page.wait_for_function(
            "(count) => document.querySelectorAll('#rows tr[data-study]').length >= count", arg=count
        )
    listens(page)
    asked: list[str] = []
    page.on("request", lambda request: "/worklist/" in request.url and asked.append(request.url))
    page.evaluate("() => dispatchEvent(new Event('online'))")  # the stream is made anew
    for _ in range(500):
        if len(asked) >= 5:
            break
        page.wait_for_timeout(20)
    page.wait_for_timeout(3000)
    assert len(asked) == 5, asked
    page.mouse.move(300, 300)
    sign(last)
    page.wait_for_selector(f"#s-{last}.gone")


def late_pages(page: Any) -> list[Any]:
    """The list's own pages as they were when it asked for them, each with the route that waits for it."""
    late: list[Any] = []
    page.route("**/worklist/page*", lambda route: late.append((route, route.fetch())))
    return late


def arrives(page: Any, late: list[Any]) -> None:
    """The first page that is late comes to the list, and no other is."""
    route, answer = late.pop(0)
    route.fulfill(response=answer)
    page.unroute("**/worklist/page*")


def is_asked_for(page: Any, late: list[Any]) -> None:
    for _ in range(250):
        if late:
            return
        page.wait_for_timeout(20)
    raise AssertionError("the list did not renew itself")


def test_what_comes_while_the_list_renews_itself_is_announced(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("ada", Role.RADIOLOGIST)
    listens(page)
    page.mouse.move(400, 300)
    first = an_admitted_study(blobs).study_id
    page.wait_for_selector("#news:visible")
    late = late_pages(page)
    page.keyboard.press("u")
    is_asked_for(page, late)
    with page.expect_response("**/worklist/rows*"):
        second = an_admitted_study(blobs).study_id
    page.wait_for_timeout(200)
    arrives(page, late)
    page.wait_for_selector(f"#s-{first}")
    page.wait_for_function("() => document.getElementById('news').textContent.startsWith('1 new study')")
    page.wait_for_selector("#news:visible")
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{second}")


def test_a_list_that_renews_itself_slowly_stays_once_a_hand_is_back(signed_in: SignIn, blobs: Blobs) -> None:
    a_screened_study(blobs)
    page = signed_in("ada", Role.RADIOLOGIST)
    page.wait_for_selector("#live[data-live=on]")
    page.wait_for_timeout(4000)  # it has looked what it missed
    late = late_pages(page)
    an_admitted_study(blobs)  # nobody has touched mouse or keyboard: it is taken in at once
    is_asked_for(page, late)
    page.mouse.move(400, 300)
    arrives(page, late)
    page.wait_for_timeout(500)
    assert len(rows(page)) == 1
    assert page.locator("#news").inner_text().startswith("1 new study")
    page.keyboard.press("u")
    shown(page, 2)


def test_a_blind_row_at_the_edge_of_the_list_hides_no_arrival_and_tells_nothing(
    signed_in: SignIn, blobs: Blobs
) -> None:
    many(blobs, 170)
    page = signed_in("ada", Role.RADIOLOGIST)
    listens(page)
    with transaction() as session:
        order = session.scalars(select(Study.id).order_by(Study.rank_at, Study.id)).all()
        edges = [order[at] for at in (0, 49, 99, 149, 169)]
        session.execute(update(Study).where(Study.id.in_(edges)).values(blind=True))
    page.reload()
    listens(page)
    assert page.locator("#rows").get_attribute("data-last") == "no"
    assert page.locator("#rows tr[data-study]").last.get_attribute("data-lane") == "hidden"
    page.mouse.move(300, 300)
    arrived = an_admitted_study(blobs).study_id
    page.wait_for_selector("#news:visible")
    page.keyboard.press("u")
    page.wait_for_selector(f"#s-{arrived}")
    for count in (100, 150, 171):
        page.evaluate("() => document.querySelector('.pager').scrollIntoView()")
        page.wait_for_function(
            "(count) => document.querySelectorAll('#rows tr[data-study]').length >= count", arg=count
        )
    assert sorted(rows(page)) == sorted(str(study_id) for study_id in (*order, arrived)), "each once"
    for study_id in edges:
        row = page.locator(f"#s-{study_id}")
        assert "Blind read" in row.inner_text()
        assert row.get_attribute("data-lane") == "hidden"
        assert row.get_attribute("data-rank") is None
        assert "h earlier" not in row.inner_text()


def test_without_scripts_the_link_leads_to_the_next_page(
    chromium: Any, signed_in: SignIn, blobs: Blobs, server: str
) -> None:
    many(blobs, 60)
    cookies = signed_in("ada", Role.RADIOLOGIST).context.cookies()
    context = chromium.new_context(base_url=server, java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto("/")
    page.click(".pager a[rel=next]")
    assert page.locator("#rows tr[data-study]").count() == 10
    context.close()
