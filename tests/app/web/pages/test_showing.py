"""A page that a browser makes ahead is no view until its reader comes to it, and never out of date."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy import select
from starlette.testclient import TestClient

from app.blobs import Blobs
from app.commands import review
from app.domain.roles import Role, Scope
from app.records import AuditEvent, Image
from app.records.engine import transaction
from tests.app.web.conftest import KeyMaker
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, hidden, post
from tests.builders import a_screened_study, a_user

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
