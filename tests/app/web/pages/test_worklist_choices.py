"""The worklist's filters, sections, search, views and columns, as pages."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from html import unescape
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import keys, preferences
from app.domain.order import Lane
from app.domain.roles import SYSTEM, Role, Scope
from app.queries import worklist
from app.records import AuditEvent, Study, User
from app.records.base import now
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, post, words
from tests.app.web.pages.test_worklist_page import rows_of
from tests.builders import a_screened_study, a_signed_study


def two_lanes(blobs: Blobs) -> None:
    a_screened_study(blobs, lane=Lane.RULE_OUT, probability=0.02, patient_id="OUT")
    a_screened_study(blobs, lane=Lane.RULE_IN, probability=0.93, patient_id="IN")


def test_a_filter_stands_in_the_address_and_can_be_left(browser: Browser, blobs: Blobs) -> None:
    two_lanes(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/?lane=rule-out&state=&station=")
    [row] = rows_of(page)
    assert "OUT" in row
    assert "1 unsigned under this filter" in words(page)
    assert '<option value="rule-out" selected>' in page
    assert "No study passes this filter." in get(alice, "/?station=NOWHERE")
    refused = alice.get("/?lane=urgent", headers={"Accept": "text/html"})
    assert refused.status_code == 400
    assert "The filter lane is one of" in refused.text


def test_the_list_is_divided_into_now_and_waiting(browser: Browser, blobs: Blobs) -> None:
    two_lanes(blobs)
    page = get(browser("alice", Role.RADIOLOGIST), "/")
    head = words(page.split('data-part="now"')[1].split("</tr>")[0])
    assert "Now 1 came, or count as having come, 8 h ago or earlier" in head
    assert page.index('data-part="now"') < page.index("IN ·") < page.index('data-part="waiting"')
    assert "Waiting 1" in words(page.split('data-part="waiting"')[1].split("</tr>")[0])


def test_what_has_waited_long_enough_is_due_whatever_the_network_said(browser: Browser, blobs: Blobs) -> None:
    two_lanes(blobs)
    with transaction() as session:
        early = now() - timedelta(hours=8, minutes=1)
        session.execute(
            update(Study).where(Study.patient_id == "OUT").values(arrived_at=early, rank_at=early)
        )
    page = get(browser("alice", Role.RADIOLOGIST), "/")
    assert 'data-part="waiting"' not in page
    assert "OUT" in rows_of(page)[0]


def test_done_today_names_who_signed(browser: Browser, blobs: Blobs) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    assert "Nothing was signed today." in get(alice, "/?section=done")
    a_signed_study(blobs, ago=timedelta(0), patient_id="DONE")
    a_signed_study(blobs, ago=timedelta(days=2), patient_id="BEFORE")
    a_screened_study(blobs, patient_id="OPEN")
    [row] = rows_of(get(alice, "/?section=done"))
    assert "DONE" in row
    assert "Signed dr.lee" in row
    assert alice.get("/?section=tomorrow", headers={"Accept": "text/html"}).status_code == 422


def test_a_search_is_posted_and_finds_signed_studies_too(browser: Browser, blobs: Blobs) -> None:
    a_signed_study(blobs, patient_id="P1", tags={"PatientName": "Okafor^Ada"})
    a_screened_study(blobs, patient_id="P2", tags={"PatientName": "Roe^Jane"})
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    assert 'method="post" action="/worklist/search"' in page
    answer = post(alice, "/worklist/search", page, text="okafor")
    [row] = rows_of(answer.text)
    assert "Okafor, Ada" in row
    assert "1 study, signed ones and priors too" in words(answer.text)
    nobody = post(alice, "/worklist/search", page, text="<b>nobody</b>")
    assert "No study has this patient ID" in nobody.text
    assert "<b>nobody" not in nobody.text
    assert post(alice, "/worklist/search", page, text="x").status_code == 400


def test_a_search_is_on_record_without_what_was_searched_for(browser: Browser, session, blobs: Blobs) -> None:
    a_screened_study(blobs, patient_id="P1", tags={"PatientName": "Okafor^Ada"})
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    for text in ("okafor", "nobody", "x"):
        post(alice, "/worklist/search", page, text=text)
    searched = select(AuditEvent).where(AuditEvent.action == "studies.searched").order_by(AuditEvent.id)
    rows = session.scalars(searched).all()
    assert [(row.actor_name, row.study_id, row.subject_id) for row in rows] == [("alice", None, None)] * 2
    assert [row.details for row in rows] == [{"level": "page", "found": 1}, {"level": "page", "found": 0}]


def test_a_view_is_kept_for_its_reader_alone_and_can_be_forgotten(browser: Browser, blobs: Blobs) -> None:
    two_lanes(blobs)
    alice, bob = browser("alice", Role.RADIOLOGIST), browser("bob", Role.RADIOLOGIST)
    page = get(alice, "/?lane=rule-out&age_from=1")
    kept = post(alice, "/worklist/views", page, name="Calm ones", lane="rule-out", age_from="1.0")
    assert kept.headers["location"] == "/?lane=rule-out&age_from=1"
    assert '<a href="/?lane=rule-out&amp;age_from=1">Calm ones</a>' in get(alice, "/")
    assert "Calm ones" not in get(bob, "/")
    post(alice, "/worklist/views", page, name="Calm ones", lane="abstain")
    assert get(alice, "/").count(">Calm ones</a>") == 1
    post(alice, "/worklist/views/forget", page, name="Calm ones")
    assert "Calm ones" not in get(alice, "/")


def test_a_view_needs_a_name_and_a_filter_and_there_are_only_so_many(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    assert post(alice, "/worklist/views", page, name="", lane="unread").status_code == 422
    assert post(alice, "/worklist/views", page, name="x" * 41, lane="unread").status_code == 422
    assert post(alice, "/worklist/views", page, name="none").status_code == 422
    assert post(alice, "/worklist/views", page, name="bad", lane="urgent").status_code == 400
    for number in range(preferences.MOST_VIEWS):
        post(alice, "/worklist/views", page, name=f"view {number}", lane="unread")
    assert post(alice, "/worklist/views", page, name="one more", lane="unread").status_code == 409
    assert post(alice, "/worklist/views", page, name="view 3", lane="abstain").status_code == 303


def test_columns_that_were_not_chosen_are_hidden(browser: Browser, blobs: Blobs, session) -> None:
    two_lanes(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    assert 'data-hide=""' in page
    post(alice, "/worklist/columns", page, columns=["reading", "state"])
    assert 'data-hide="study waiting"' in get(alice, "/")
    assert post(alice, "/worklist/columns", page, columns=["salary"]).status_code == 422
    assert session.scalars(select(User.preferences)).one() == {"columns": ["reading", "state"]}


def test_done_today_offers_no_filter_and_heeds_none(
    browser: Browser, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "done", partial(worklist.done, size=1))
    two_lanes(blobs)
    for patient in ("FIRST", "SECOND"):
        a_signed_study(blobs, ago=timedelta(0), patient_id=patient)
    alice = browser("alice", Role.RADIOLOGIST)
    post(alice, "/worklist/views", get(alice, "/"), name="Calm ones", lane="rule-out")
    for address in ("/?section=done", "/?section=done&station=NOWHERE&lane=rule-in&held=me"):
        page = get(alice, address)
        [row] = rows_of(page)
        assert "SECOND" in row
        assert "2 unsigned," in words(page)
        assert "under this filter" not in words(page)
        assert 'class="filter-form"' not in page
        assert "Keep this filter as" not in words(page)
        assert "NOWHERE" not in page
        assert "Forget “Calm ones”" in words(page)
        [following] = re.findall(r'rel="next" href="/\?([^"]*)"', page)
        assert set(parse_qs(unescape(following))) == {"section", "cursor"}
        [last] = rows_of(get(alice, f"/worklist/page?{unescape(following)}"))
        assert "FIRST" in last
    assert 'class="filter-form"' in get(alice, "/")


@pytest.mark.parametrize("action", ["/worklist/columns", "/worklist/views/forget"])
@pytest.mark.parametrize(
    "address", ["/", "/?lane=rule-out&station=DX+%26+%22one%22&age_from=1.5&held=nobody", "/?section=done"]
)
def test_what_is_chosen_on_a_list_leads_back_to_that_list(
    browser: Browser, blobs: Blobs, action: str, address: str
) -> None:
    two_lanes(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    post(alice, "/worklist/views", get(alice, "/"), name="Calm ones", lane="rule-out")
    page = get(alice, address)
    [form] = re.findall(rf'<form method="post" action="{action}".*?</form>', page, re.S)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    sent = {name: unescape(value) for name, value in fields if name != "csrf_token"}
    answer = post(alice, action, page, **sent)
    assert (answer.status_code, answer.headers["location"]) == (303, address)


@pytest.mark.parametrize("action", ["/worklist/columns", "/worklist/views/forget"])
def test_what_is_chosen_on_a_list_leads_nowhere_else(browser: Browser, session, action: str) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/")
    post(alice, "/worklist/views", page, name="Calm ones", lane="rule-out")
    kept = session.scalars(select(User.preferences)).one()
    refused = post(alice, action, page, name="Calm ones", columns=["state"], lane="//elsewhere.test")
    session.expire_all()
    assert refused.status_code == 400
    assert "The filter lane is one of" in refused.text
    assert session.scalars(select(User.preferences)).one() == kept, "nothing has changed"
    for section in ("https://elsewhere.test", "//elsewhere.test", "unsigned"):
        assert post(alice, action, page, section=section).headers["location"] == "/"


def test_a_live_row_that_left_the_filter_is_told(browser: Browser, blobs: Blobs) -> None:
    two_lanes(blobs)
    alice = browser("alice", Role.RADIOLOGIST)
    with transaction() as session:
        ids = [str(id_) for id_ in session.scalars(select(Study.id).order_by(Study.rank_at))]
    answer = alice.get("/worklist/rows", params={"lane": "rule-in", "id": ids}).json()
    assert [answer["rows"][id_]["open"] for id_ in ids] == [True, False]
    assert (answer["unsigned"], answer["due"]) == (1, 1)


@pytest.mark.parametrize("address", ["/worklist/views", "/worklist/columns", "/worklist/views/forget"])
def test_a_key_has_no_preferences(client, address: str) -> None:
    with transaction() as session:
        key = keys.add_key(session, name="machine", scopes=[Scope.READ], by=SYSTEM)
    answer = client.post(
        address, data={"name": "v", "lane": "unread"}, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 422
    assert "Only people have preferences" in answer.text
