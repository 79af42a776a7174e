"""Deliveries as the records see them: who gets what, when, and how often."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import delivery
from app.domain.roles import SYSTEM
from app.errors import Conflict, NotFound, Unprocessable
from app.records import Delivery
from app.settings import settings
from tests.builders import BUNDLE, a_bundle, a_png, admit, claimed, image_read, record


def add(session: Session, name: str, url: str = "https://ris.example/hook") -> str:
    return delivery.add_destination(session, name=name, url=url, by=SYSTEM)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "[fe80::1]"])
def test_an_address_the_operator_has_not_allowed_is_refused_when_it_is_named(
    session: Session, host: str
) -> None:
    with pytest.raises(Unprocessable, match="FIRSTREAD_DESTINATION_RANGES"):
        add(session, "inside", f"http://{host}/hook")


@pytest.mark.parametrize(
    ("host", "ranges"),
    [("ris.example", ""), ("8.8.8.8", ""), ("8.8.8.8", "0.0.0.0/0"), ("[2001:4860::1]", "2001:4860::/32")],
)
def test_an_address_that_results_would_reach_in_clear_over_the_internet_is_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch, host: str, ranges: str
) -> None:
    monkeypatch.setenv("FIRSTREAD_DESTINATION_RANGES", ranges)
    settings.cache_clear()
    with pytest.raises(Unprocessable, match=r"in clear \(http\) only within the site's own network"):
        add(session, "outside", f"http://{host}/hook")
    add(session, "outside", f"https://{host}/hook")


@pytest.mark.parametrize("host", ["10.20.4.7", "[fd12::7]", "ris"])
def test_within_what_the_operator_declared_http_will_do(
    session: Session, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("FIRSTREAD_DESTINATION_RANGES", "10.20.0.0/16,fd12::/16")
    settings.cache_clear()
    add(session, "inside", f"http://{host}/hook")


def a_reading(session: Session, blobs: Blobs) -> None:
    admission = admit(session, blobs, a_png())
    [study] = [study for study in claimed(session, size=100) if study.study_id == admission.study_id]
    record(session, study, image_read(admission.image_id))
    session.flush()


@pytest.fixture(autouse=True)
def _bundle(session: Session) -> None:
    a_bundle(session)


def test_every_destination_gets_every_reading_once(session: Session, blobs: Blobs) -> None:
    add(session, "one")
    add(session, "two")
    a_reading(session, blobs)
    lease = timedelta(seconds=60)
    first, second = (delivery.claim_next(session, lease=lease) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.destination_id != second.destination_id
    assert first.payload["reading"]["bundle"] == BUNDLE
    assert first.payload["use"] == "For prioritisation only. Not a diagnosis."
    assert delivery.claim_next(session, lease=lease) is None
    assert delivery.due(session) == []


def test_destinations_that_are_busy_are_passed_over(session: Session, blobs: Blobs) -> None:
    add(session, "one")
    a_reading(session, blobs)
    a_reading(session, blobs)
    message = delivery.claim_next(session, lease=timedelta(0))
    assert message is not None
    busy = {message.destination_id}
    assert delivery.claim_next(session, lease=timedelta(0), besides=busy) is None
    assert delivery.claim_next(session, lease=timedelta(0)) is not None


def test_the_pause_doubles_to_an_hour_and_no_further(session: Session, blobs: Blobs) -> None:
    add(session, "one")
    a_reading(session, blobs)
    pauses = []
    for _ in range(10):
        message = delivery.claim_next(session, lease=timedelta(seconds=-1))
        assert message is not None
        delivery.refused(
            session,
            delivery_id=message.delivery_id,
            error="500",
            attempts=10,
            backoff=timedelta(seconds=20),
        )
        row = session.scalars(select(Delivery)).one()
        if row.state == "pending":
            pauses.append(round((row.not_before - row.created_at).total_seconds(), -1))
            row.not_before = row.created_at
            session.flush()
    assert pauses == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    assert session.scalars(select(Delivery.state)).one() == "dead"


def test_a_late_refusal_does_not_undo_a_delivery(session: Session, blobs: Blobs) -> None:
    add(session, "one")
    a_reading(session, blobs)
    message = delivery.claim_next(session, lease=timedelta(0))
    assert message is not None
    delivery.delivered(session, delivery_id=message.delivery_id)
    delivery.refused(
        session, delivery_id=message.delivery_id, error="late", attempts=1, backoff=timedelta(seconds=1)
    )
    assert session.scalars(select(Delivery.state)).one() == "delivered"


def test_a_signature_covers_time_and_body() -> None:
    signed = delivery.sign("secret", timestamp=1700000000, body=b'{"a":1}')
    expected = hmac.new(b"secret", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signed == f"t=1700000000,v1={expected}"


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://ris/hook", "ris/hook", "https://", "https://user:secret@ris/hook"),
        *("http://[::1", "http://ris:99999/", "https://ris/" + "a" * 2000),
    ],
)
def test_an_address_that_is_no_webhook_is_refused(session: Session, url: str) -> None:
    with pytest.raises(Unprocessable):
        add(session, "one", url)


def test_two_destinations_have_two_names(session: Session) -> None:
    add(session, "one")
    with pytest.raises(Conflict):
        add(session, " one ")
    with pytest.raises(Unprocessable):
        add(session, "  ")
    with pytest.raises(Unprocessable):
        add(session, "a" * 101)


def test_only_what_is_there_can_be_disabled_or_sent_again(session: Session, blobs: Blobs) -> None:
    add(session, "one")
    a_reading(session, blobs)
    row = session.scalars(select(Delivery)).one()
    with pytest.raises(Conflict, match="pending"):
        delivery.resend(session, delivery_id=row.id, by=SYSTEM)
    with pytest.raises(NotFound):
        delivery.resend(session, delivery_id=row.study_id, by=SYSTEM)
    with pytest.raises(NotFound):
        delivery.disable_destination(session, destination_id=row.study_id, by=SYSTEM)
