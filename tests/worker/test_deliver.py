"""Webhooks to a real HTTP server: signed, tried again, dead and sent anew, never redirected or hung upon."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import delivery, review, withdrawal
from app.commands.review import Statement
from app.domain.roles import SYSTEM, Role
from app.errors import Conflict
from app.records import Delivery, Destination, Study
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from tests.builders import a_screened_study, a_user
from tests.served import eventually
from worker.deliver import ROUNDS, Courier
from worker.sweep import Sweeper


@dataclass
class Hook:
    """A receiver that answers what the test says and keeps what it got."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    seconds: float = 0.0
    drip: bool = False
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """The receiver, answering 204 unless told otherwise."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with hook.lock:
                hook.received.append((dict(self.headers), body))
                status = hook.answers.pop(0) if hook.answers else 204
                hook.at_once += 1
                hook.most_at_once = max(hook.most_at_once, hook.at_once)
            time.sleep(hook.seconds)
            with hook.lock:
                hook.at_once -= 1
            if hook.drip:  # a byte of a header now and then keeps any timeout between bytes from ending it
                self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
                for _ in range(40):
                    self.wfile.write(b"x")
                    time.sleep(0.1)
                return
            self.send_response(status)
            self.send_header("Location", f"{hook.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hook
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def loopback_allowed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator has allowed this machine, where the receivers are."""
    monkeypatch.setenv("FIRSTREAD_DESTINATION_RANGES", "127.0.0.0/8")
    settings.cache_clear()


@pytest.fixture
def secret(hook: Hook, blobs: Blobs, database: str) -> str:
    """One destination, and one reading on its way to it."""
    with transaction() as session:
        secret = delivery.add_destination(session, name="RIS", url=f"{hook.url}/hook?token=t", by=SYSTEM)
    a_screened_study(blobs)
    return secret


def the_delivery() -> Delivery:
    with transaction() as session:
        return session.scalars(select(Delivery)).one()


def make_due() -> None:
    with transaction() as session:
        for row in session.scalars(select(Delivery).where(Delivery.state == "pending")):
            row.not_before = now()


def drain() -> int:
    return Courier(settings()).drain(stop=threading.Event())


def test_a_reading_arrives_with_a_signature_the_receiver_can_check(hook: Hook, secret: str) -> None:
    before = int(time.time())
    assert drain() == 1
    [(headers, body)] = hook.received
    stamp, signature = (part.split("=", 1)[1] for part in headers["FirstRead-Signature"].split(","))
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)
    assert before <= int(stamp) <= int(time.time())
    row = the_delivery()
    assert headers["FirstRead-Delivery"] == str(row.id)
    assert headers["Content-Type"] == "application/json"
    said = json.loads(body)
    assert said["event"] == headers["FirstRead-Event"] == "study.screened"
    assert said["study"]["id"] == str(row.study_id)
    assert said["reading"]["findings"]["pneumonia"]["lane"] == "rule-in"
    assert row.state == "delivered"
    assert row.delivered_at is not None


def test_a_signature_is_told_once_it_is_final_whoever_crashed_and_never_when_it_was_undone(
    hook: Hook, secret: str, blobs: Blobs, broker: str
) -> None:
    assert drain() == 1  # the reading
    with transaction() as session:
        grace = a_user(session, "grace", Role.RADIOLOGIST)
        row = session.scalars(select(Study)).one()
        study_id, revision = row.id, row.revision
    signing = partial(
        review.sign, study_id=study_id, by=grace, findings={"pneumonia": Statement.ABSENT}, confirm=False
    )
    with transaction() as session:
        undone = signing(session, revision=revision, undo=timedelta(seconds=60))
    with transaction() as session:
        withdrawn = withdrawal.withdraw(
            session, study_id=study_id, review_id=undone.review_id, by=grace, minutes=15
        )
    with transaction() as session:
        kept = signing(session, revision=withdrawn.revision, undo=timedelta(seconds=1.5))
    sweeper = Sweeper(settings(), blobs=blobs)
    assert drain() == 0, "it can still be undone"
    assert sweeper.sweep().deliveries_rung == 0
    assert kept.final_at is not None
    time.sleep(max((kept.final_at - now()).total_seconds(), 0))
    assert sweeper.sweep().deliveries_rung == 1, "nobody else need remember it"
    assert drain() == 1
    headers, body = hook.received[-1]
    assert headers["FirstRead-Event"] == "study.signed"
    assert json.loads(body)["review"]["id"] == str(kept.review_id)
    make_due()
    assert drain() == 0
    assert len(hook.received) == 2


def test_what_was_delivered_is_not_sent_again(hook: Hook, secret: str) -> None:
    assert drain() == 1
    assert drain() == 0
    assert len(hook.received) == 1


def test_an_error_is_tried_again_after_a_growing_pause(hook: Hook, secret: str) -> None:
    hook.answers = [500, 503]
    pauses = []
    for _ in range(2):
        started = now()
        drain()
        row = the_delivery()
        assert row.state == "pending"
        pauses.append((row.not_before - started).total_seconds())
        make_due()
    assert row.last_error == "The destination answered 503."
    assert pauses[0] == pytest.approx(20, abs=3)
    assert pauses[1] == pytest.approx(40, abs=3)
    drain()
    assert the_delivery().state == "delivered"
    assert the_delivery().attempts == 3
    assert len({headers["FirstRead-Delivery"] for headers, _ in hook.received}) == 1


def test_after_the_last_attempt_it_is_a_dead_letter_until_somebody_sends_it_again(
    hook: Hook, secret: str, configure: Callable[..., None]
) -> None:
    configure(webhook_attempts=2)
    hook.answers = [500, 500]
    for _ in range(2):
        drain()
        make_due()
    assert the_delivery().state == "dead"
    assert drain() == 0
    with transaction() as session:
        delivery.resend(session, delivery_id=the_delivery().id, by=SYSTEM)
    assert drain() == 1
    assert the_delivery().state == "delivered"
    with transaction() as session, pytest.raises(Conflict):
        delivery.resend(session, delivery_id=the_delivery().id, by=SYSTEM)


def test_what_would_leave_in_clear_becomes_a_dead_letter_that_says_why_and_is_sent_again(
    hook: Hook, blobs: Blobs, database: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(webhook_attempts=2, destination_ranges="127.0.0.0/8,0.0.0.0/0")
    stands_for = ["8.8.8.8"]
    known = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **named: Any) -> Any:
        return known(stands_for[0] if host in ("ris.example", b"ris.example") else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with transaction() as session:  # as somebody added it before there was the rule
        url = hook.url.replace("127.0.0.1", "ris.example")
        delivery.add_destination(session, name="RIS", url=url, by=SYSTEM)
    a_screened_study(blobs)
    for _ in range(2):
        assert drain() == 0
        make_due()
    assert the_delivery().state == "dead"
    assert the_delivery().last_error == (
        "Nothing was sent: the destination is named by http, and its address is a public one, which results"
        " reach by https alone."
    )
    assert hook.received == []
    stands_for[0] = "127.0.0.1"
    with transaction() as session:
        delivery.resend(session, delivery_id=the_delivery().id, by=SYSTEM)
    assert drain() == 1
    assert json.loads(hook.received[0][1])["study"]["id"] == str(the_delivery().study_id)


def test_a_redirect_is_refused_and_not_followed(hook: Hook, secret: str) -> None:
    hook.answers = [307]
    assert drain() == 0
    assert len(hook.received) == 1
    assert "redirect" in (the_delivery().last_error or "")


def test_a_destination_that_drips_bytes_is_given_up_on_at_the_deadline(
    hook: Hook, secret: str, configure: Callable[..., None]
) -> None:
    configure(webhook_timeout=0.6)
    hook.drip = True
    started = time.monotonic()
    assert drain() == 0
    assert time.monotonic() - started < 2.5
    assert the_delivery().last_error == "The destination did not answer within 0.6 seconds."


def test_an_address_where_nobody_listens_is_named_as_such(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="gone", url="http://127.0.0.1:1/hook", by=SYSTEM)
    a_screened_study(blobs)
    assert drain() == 0
    assert the_delivery().last_error == "The destination could not be reached (ConnectError)."


def test_a_slow_destination_holds_two_threads_and_no_more(hook: Hook, blobs: Blobs, database: str) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="slow", url=hook.url, by=SYSTEM)
    for _ in range(5):
        a_screened_study(blobs)
    hook.seconds = 0.3
    courier = Courier(settings())
    stop = threading.Event()
    threads = [threading.Thread(target=courier.drain, kwargs={"stop": stop}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hook.most_at_once == 2
    assert len(hook.received) == 5


def test_slow_destinations_hold_four_threads_whatever_their_number_so_that_sweeping_has_one(
    hook: Hook, blobs: Blobs, database: str
) -> None:
    with transaction() as session:
        for number in range(3):  # six threads, by two for each
            delivery.add_destination(session, name=f"slow {number}", url=hook.url, by=SYSTEM)
    for _ in range(2):
        a_screened_study(blobs)
    hook.seconds = 1.0
    courier, stop = Courier(settings()), threading.Event()
    with ThreadPoolExecutor(max_workers=ROUNDS) as pool:
        rounds = [pool.submit(courier.drain, stop=stop) for _ in range(ROUNDS)]
        eventually(lambda: hook.at_once == ROUNDS)
        assert courier.drain(stop=stop) == 0, "those at it take what is left"
    assert hook.most_at_once == ROUNDS
    assert sum(round.result() for round in rounds) == len(hook.received) == 6
    hook.seconds = 0.0
    a_screened_study(blobs)
    assert courier.drain(stop=stop) == 3, "and whose rounds ended begin others"


def test_nothing_more_goes_to_a_disabled_destination(hook: Hook, secret: str) -> None:
    with transaction() as session:
        destination_id = session.scalars(select(Destination.id)).one()
        delivery.disable_destination(session, destination_id=destination_id, by=SYSTEM)
    assert drain() == 0
    assert hook.received == []
    assert the_delivery().state == "dead"
    with transaction() as session, pytest.raises(Conflict, match="disabled"):
        delivery.resend(session, delivery_id=the_delivery().id, by=SYSTEM)


def test_a_message_whose_sender_died_is_due_again(hook: Hook, secret: str) -> None:
    with transaction() as session:
        assert delivery.claim_next(session, lease=timedelta(seconds=0)) is not None
    assert drain() == 1
    assert hook.received[0][0]["FirstRead-Attempt"] == "2"
