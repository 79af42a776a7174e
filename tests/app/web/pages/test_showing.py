"""A page that a browser makes ahead is no view until its reader comes to it, and never out of date."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import review
from app.domain.roles import Role, Scope
from app.queries import next_study
from app.records import AuditEvent, Image, SecondOpinion
from app.records.engine import transaction
from app.web.pages import showing
from tests.app.web.conftest import KeyMaker
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, post
from tests.builders import a_screened_study, a_user, sign

AHEAD = {"Sec-Purpose": "prefetch;prerender"}


def on_record(study_id: UUID) -> list[str]:
    """Of the study, in turn: sent ahead, seen, claimed."""
    wanted = ("study.sent-ahead", "study.viewed", "study.claimed")
    with transaction() as session:
        events = select(AuditEvent.action).where(
            AuditEvent.study_id == study_id, AuditEvent.action.in_(wanted)
        )
        return [action.removeprefix("study.") for action in session.scalars(events.order_by(AuditEvent.id))]


def made_ahead(reader: TestClient, study_id: UUID) -> str:
    """What the page that was made ahead knows of what it was made of."""
    page = reader.get(f"/studies/{study_id}", headers=ACCEPT | AHEAD)
    assert page.headers["cache-control"] == "no-store"
    found = re.search(r'data-ahead="([0-9a-f]{64})"', page.text)
    assert found
    return found[1]


def is_same(reader: TestClient, study_id: UUID, page: str) -> bool:
    """What a browser is told that comes to the page."""
    token = hidden(get(reader, "/account"), "csrf_token")
    answer = reader.post(f"/studies/{study_id}/shown", data={"page": page}, headers={"X-CSRF-Token": token})
    return bool(answer.json()["same"])


def preview_of(study_id: UUID) -> str:
    with transaction() as session:
        image = session.scalar(select(Image.id).where(Image.study_id == study_id))
    return f"/api/v1/images/{image}/preview"


def test_what_is_made_ahead_is_on_record_as_sent_and_is_no_view_and_no_claim(
    browser: Browser, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = made_ahead(alice, study)
    assert alice.get(preview_of(study), headers=AHEAD).status_code == 200
    assert on_record(study) == ["sent-ahead"]
    assert is_same(alice, study, page)
    assert on_record(study) == ["sent-ahead", "viewed"]


def test_a_key_that_says_it_looks_ahead_has_seen_what_it_gets(
    client: TestClient, key: KeyMaker, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    assert client.get(preview_of(study), headers=key(Scope.READ) | AHEAD).status_code == 200
    assert on_record(study) == ["viewed"]


def test_a_page_that_is_out_of_date_is_not_shown(browser: Browser, blobs: Blobs) -> None:
    study = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = made_ahead(alice, study)
    with transaction() as session:
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        review.claim(session, study_id=study, by=bob, minutes=5)
    assert not is_same(alice, study, page)
    assert "viewed" not in on_record(study)


def test_a_page_made_before_its_reader_chose_to_read_blind_is_not_shown(
    browser: Browser, blobs: Blobs
) -> None:
    study = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    page = made_ahead(alice, study)
    post(alice, "/account/blind", get(alice, "/account"), hide="yes")
    assert not is_same(alice, study, page)


def test_a_page_made_ahead_hides_what_a_blind_reader_may_not_see(browser: Browser, blobs: Blobs) -> None:
    study = a_screened_study(blobs, probability=0.93).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    post(alice, "/account/blind", get(alice, "/account"), hide="yes")
    page = alice.get(f"/studies/{study}", headers=ACCEPT | AHEAD).text
    assert "data-ahead" in page
    assert "0.93" not in page


def test_a_signature_tells_of_the_page_made_ahead_and_puts_its_view_on_record(
    browser: Browser, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{first}")
    made = made_ahead(alice, second)
    fields = {name: hidden(page, name) for name in ("revision", "shown_at", "reading")}
    done = post(alice, f"/studies/{first}/review", page, action="confirm", ahead=second, **fields)
    assert done.headers["location"] == f"/studies/{second}?signed={first}&shown={made}"
    assert on_record(second) == ["sent-ahead", "viewed"]
    alice.get(done.headers["location"], headers=ACCEPT)  # where the browser has let go of the page
    assert on_record(second) == ["sent-ahead", "viewed"]
    told = alice.get(f"/studies/{second}/onwards?signed={first}").json()
    assert told["next"] == f"/studies/{third}"
    assert 'id="undo"' in told["signed"]


def test_a_signature_that_leads_elsewhere_says_nothing_of_what_was_made_ahead(
    browser: Browser, blobs: Blobs
) -> None:
    first, second, third = (a_screened_study(blobs).study_id for _ in range(3))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{first}")
    made_ahead(alice, third)
    fields = {name: hidden(page, name) for name in ("revision", "shown_at", "reading")}
    done = post(alice, f"/studies/{first}/review", page, action="confirm", ahead=third, **fields)
    assert done.headers["location"] == f"/studies/{second}?signed={first}"
    assert on_record(third) == ["sent-ahead"]


def confirmed(reader: TestClient, study_id: UUID, page: str, *, ahead: UUID) -> Response:
    """The answer to the signature from a page that had the next one made ahead."""
    fields = {name: hidden(page, name) for name in ("revision", "shown_at", "reading")}
    return post(reader, f"/studies/{study_id}/review", page, action="confirm", ahead=ahead, **fields)


def test_a_signature_is_answered_though_the_next_page_cannot_be_told_of(
    browser: Browser, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{first}")
    made = made_ahead(alice, second)

    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("the next study is not as it should be")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(showing, "facts", broken)
        for _ in range(2):
            done = confirmed(alice, first, page, ahead=second)
            assert done.status_code == 303
            assert done.headers["location"] == f"/studies/{second}?signed={first}"
    assert alice.get(f"/api/v1/studies/{first}").json()["state"] == "signed"
    assert on_record(second) == ["sent-ahead"]
    assert is_same(alice, second, made)


def test_a_signature_sent_again_is_no_further_view_of_the_next_study(browser: Browser, blobs: Blobs) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, f"/studies/{first}")
    made = made_ahead(alice, second)
    for _ in range(3):
        done = confirmed(alice, first, page, ahead=second)
        assert done.headers["location"] == f"/studies/{second}?signed={first}&shown={made}"
    assert on_record(second) == ["sent-ahead", "viewed"]


@pytest.mark.parametrize("told", ["x", "\N{SNOWMAN}", "0" * 64])
def test_an_address_that_says_anything_of_a_view_is_a_view_of_its_own(
    browser: Browser, blobs: Blobs, told: str
) -> None:
    study = a_screened_study(blobs).study_id
    alice = browser("alice", Role.RADIOLOGIST)
    for _ in range(2):
        assert alice.get(f"/studies/{study}", params={"shown": told}, headers=ACCEPT).status_code == 200
    assert on_record(study) == ["viewed", "viewed"]
    assert not is_same(alice, study, told)


def test_nothing_is_on_record_as_sent_ahead_of_a_study_that_is_none(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    assert alice.get(f"/studies/{uuid4()}", headers=ACCEPT | AHEAD).status_code == 404
    with transaction() as session:
        sent = select(func.count()).where(AuditEvent.action == "study.sent-ahead")
        assert session.scalar(sent) == 0


def test_an_answer_is_news_until_the_page_made_ahead_is_shown(
    browser: Browser, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (a_screened_study(blobs).study_id for _ in range(2))
    alice = browser("alice", Role.RADIOLOGIST)
    with transaction() as session:
        of = a_user(session, "bob", Role.RADIOLOGIST).id
    page = get(alice, f"/studies/{second}")
    post(alice, f"/studies/{second}/claim", page)
    asked = post(alice, f"/studies/{second}/second-opinion", page, colleague=of, question="?")
    assert asked.status_code == 303
    sign(second, by="bob")

    def is_news() -> bool:
        with transaction() as session:
            return session.scalars(select(SecondOpinion.answer_seen_at)).one() is None

    page = get(alice, f"/studies/{first}")
    made_ahead(alice, second)
    monkeypatch.setattr(next_study, "next_after", lambda *_, **__: second)  # as where images came late
    assert "&shown=" in confirmed(alice, first, page, ahead=second).headers["location"]
    assert is_news()
    assert alice.get(f"/studies/{second}/onwards").status_code == 200
    assert not is_news()
