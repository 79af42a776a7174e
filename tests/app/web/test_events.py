"""Live pages: who listens hears of every change, and nobody hears a name."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest
from sqlalchemy import text
from starlette.requests import Request

from app.blobs import Blobs
from app.domain.roles import Scope
from app.queries.live import StudyChanged
from app.records.engine import transaction
from app.web import events
from tests.builders import a_key, an_admitted_study
from tests.served import Service, serving

Event = dict[str, str]


@pytest.fixture
def served(database: str, broker: str, home: Path) -> Iterator[Service]:
    with serving(home) as service:
        yield service


@pytest.fixture
def reader(database: str) -> dict[str, str]:
    with transaction() as session:
        return {"Authorization": f"Bearer {a_key(session, 'page', Scope.READ)}"}


@contextmanager
def stream(service: Service, headers: dict[str, str]) -> Iterator[Queue[Event]]:
    """The events of one open stream, as they come."""
    heard: Queue[Event] = Queue()
    client = httpx.Client(timeout=httpx.Timeout(30, read=60))

    def listen() -> None:
        try:
            with client.stream("GET", f"{service.url}/api/v1/events", headers=headers) as answer:
                assert answer.status_code == 200
                event: Event = {}
                for line in answer.iter_lines():
                    if line:
                        name, _, value = line.partition(": ")
                        event[name] = value
                    elif "event" in event:
                        if event["event"] != "beat":
                            heard.put(event)
                        event = {}
        except httpx.HTTPError:
            return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        client.close()


def next_study(heard: Queue[Event]) -> Event:
    while True:
        event = heard.get(timeout=20)
        if event["event"] == "study":
            return event


def listening(heard: Queue[Event]) -> None:
    """Returns once the listener of the process hears the database."""
    assert heard.get(timeout=20)["event"] == "resync"
    assert heard.get(timeout=20)["event"] == "resync"


def test_every_open_stream_hears_of_a_study_and_hears_no_name(
    served: Service, reader: dict[str, str], blobs: Blobs
) -> None:
    with stream(served, reader) as first, stream(served, reader) as second:
        listening(first)
        second.get(timeout=20)
        study = an_admitted_study(blobs, patient_id="Mustermann")
        for heard in (first, second):
            event = next_study(heard)
            assert json.loads(event["data"]) == {"id": str(study.study_id), "state": "admitted"}


def test_a_stream_that_reconnects_gets_what_it_missed(
    served: Service, reader: dict[str, str], blobs: Blobs
) -> None:
    with stream(served, reader) as stays:
        listening(stays)
        an_admitted_study(blobs)
        last = next_study(stays)["id"]
        missed = [str(an_admitted_study(blobs).study_id) for _ in range(3)]
        for _ in missed:
            next_study(stays)
        with stream(served, reader | {"Last-Event-ID": last}) as again:
            heard = [json.loads(again.get(timeout=20)["data"])["id"] for _ in missed]
            assert heard == missed
        for unknown in ("nonsense", "00000000-5", last.split("-")[0] + "-99999", "9" * 100):
            with stream(served, reader | {"Last-Event-ID": unknown}) as stranger:
                assert stranger.get(timeout=20)["event"] == "resync"


def test_a_lost_database_connection_costs_a_resync_and_nothing_else(
    served: Service, reader: dict[str, str], blobs: Blobs
) -> None:
    with stream(served, reader) as heard:
        listening(heard)
        with transaction() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        assert heard.get(timeout=20)["event"] == "resync"
        study = an_admitted_study(blobs)
        assert json.loads(next_study(heard)["data"])["id"] == str(study.study_id)


def test_a_stream_needs_a_key_that_reads(served: Service) -> None:
    with transaction() as session:
        key = a_key(session, "sender", Scope.INTAKE)
    with served.client() as client:
        assert client.get("/api/v1/events").status_code == 401
        headers = {"Authorization": f"Bearer {key}"}
        assert client.get("/api/v1/events", headers=headers).status_code == 403


def test_what_happens_meanwhile_goes_out_together_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: asyncio.Queue[StudyChanged] = asyncio.Queue()

    async def changes() -> AsyncIterator[StudyChanged]:
        while True:
            yield await changed.get()

    async def heard() -> list[bytes]:
        hub = events.EventHub()
        told = events._stream(Request({"type": "http"}), hub, None)
        await anext(told)
        assert b"event: resync" in bytes(await anext(told))
        for study in "abcde":
            changed.put_nowait(StudyChanged(study, "admitted"))
        chunks = [bytes(await anext(told))]
        for study in "fg":
            changed.put_nowait(StudyChanged(study, "admitted"))
        while b'"g"' not in chunks[-1]:
            chunks.append(bytes(await anext(told)))
        await told.aclose()
        await hub.stop()
        return chunks

    monkeypatch.setattr(events, "changes", changes)
    chunks = asyncio.run(heard())
    studies = re.findall(r'"id": "(.)"', b"".join(chunks).decode())
    numbers = re.findall(r"id: \w+-(\d+)", b"".join(chunks).decode())
    assert ("".join(studies), numbers) == ("abcdefg", [*"1234567"])
    assert len(chunks) == 2
