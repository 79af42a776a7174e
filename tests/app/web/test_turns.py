"""However many send: readers are served, and who cannot be served soon is asked to come back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import func, select
from starlette.concurrency import run_in_threadpool

from app.cli.web import server_of
from app.domain.roles import Scope
from app.embedded.listener import address_of, listen
from app.records import Study
from app.records.engine import transaction
from app.settings import settings
from app.web import security
from app.web.main import create_app
from app.web.turns import Turns
from tests.builders import a_dicom, a_key
from tests.served import serving


def test_beyond_its_places_a_process_asks_senders_to_come_back_and_keeps_nothing(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_UPLOADS_WAITING", "1")
    with transaction() as session:
        key = a_key(session, "ct", Scope.INTAKE, Scope.READ)
    headers = {"Authorization": f"Bearer {key}"}
    with serving(home) as service, service.client(headers) as client:
        send = {"files": ("a.dcm", a_dicom(), "application/dicom")}
        slow = client.build_request("POST", "/api/v1/studies", files={"files": ("b.dcm", a_dicom())})
        body = slow.read()
        head = "".join(f"{name}: {value}\r\n" for name, value in slow.headers.items())
        begun = f"POST /api/v1/studies HTTP/1.1\r\n{head}\r\n".encode() + body[:1000]
        for _ in range(20):  # until the slow sender has the place, and not whoever asks about it
            first = socket.create_connection(("127.0.0.1", service.port))
            first.sendall(begun)
            time.sleep(0.5)
            if client.post("/api/v1/studies", files=send).status_code == 503:
                break
            first.close()
        with first:
            refused = client.post("/api/v1/studies", files=send)
            assert (refused.status_code, refused.json()["retry"]) == (503, True)
            assert int(refused.headers["Retry-After"]) > 0
            kind = 'multipart/related; type="application/dicom"; boundary=x'
            stow = client.post("/dicomweb/studies", content=b"--x--", headers={"Content-Type": kind})
            assert stow.status_code == 503, "one place for all ways in"
            assert client.get("/api/v1/worklist").status_code == 200
            before = _stored()
            first.sendall(body[1000:])
            assert first.recv(100).startswith(b"HTTP/1.1 202")
        assert _stored() == before + 1
        assert client.post("/api/v1/studies", files=send).status_code == 202


@contextmanager
def _served() -> Iterator[socket.socket]:
    """The application in this process; gives the socket on which it listens."""
    listener = listen("127.0.0.1", 0)
    server = server_of(create_app(), settings())
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener
    finally:
        server.should_exit = True
        thread.join(20)


def _head_of(request: httpx.Request) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"{request.method} {request.url.path} HTTP/1.1\r\n{head}\r\n".encode()


def _sender(listener: socket.socket) -> httpx.Client:
    with transaction() as session:
        headers = {"Authorization": f"Bearer {a_key(session, 'ct', Scope.INTAKE)}"}
    return httpx.Client(base_url=address_of(listener), headers=headers, timeout=20)


def test_a_sender_that_falls_silent_is_answered_and_another_has_its_place(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("FIRSTREAD_UPLOADS_WAITING", "1")
    settings.cache_clear()
    with _served() as listener, _sender(listener) as client:
        whole = client.build_request("POST", "/api/v1/studies", files={"files": ("a.dcm", a_dicom())})
        with socket.create_connection(listener.getsockname(), timeout=20) as silent:
            silent.sendall(_head_of(whole) + whole.read()[:1000])
            assert silent.recv(100).startswith(b"HTTP/1.1 408")
            assert _stored() == 0
            assert client.send(whole).status_code == 202


@pytest.mark.parametrize("address", ["/sign-in", "/api/v1/studies"])
def test_a_body_that_drips_is_given_up_on(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(security, "PATIENCE_SECONDS", 0.8)
    with _served() as listener, _sender(listener) as client:
        whole = client.build_request("POST", address, files={"files": ("a.dcm", a_dicom())})
        with socket.create_connection(listener.getsockname(), timeout=20) as dripping:
            dripping.sendall(_head_of(whole))
            body = whole.read()
            for place in range(20):
                dripping.sendall(body[place : place + 1])
                time.sleep(0.1)
            dripping.settimeout(0.3)  # it has been answered already, though it drips on
            answer = dripping.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"The request came too slowly, and nothing of it was kept." in answer
        assert _stored() == 0


def test_an_upload_by_a_slow_line_is_taken_however_long_it_takes(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(security, "PATIENCE_SECONDS", 1.5)
    with _served() as listener, _sender(listener) as client:
        whole = client.build_request("POST", "/api/v1/studies", files={"files": ("a.dcm", a_dicom())})
        body = whole.read()
        piece = len(body) // 10
        with socket.create_connection(listener.getsockname(), timeout=20) as slow:
            slow.sendall(_head_of(whole))
            for place in range(0, len(body), piece):
                slow.sendall(body[place : place + piece])
                time.sleep(0.2)
            assert slow.recv(100).startswith(b"HTTP/1.1 202")


def test_readers_have_threads_however_many_send() -> None:
    began, over = threading.Semaphore(0), threading.Event()

    def admit() -> str:
        began.release()
        assert over.wait(20)
        return "admitted"

    async def crowd() -> list[str]:
        turns, answers = Turns(at_once=2, most=100), []

        async def send() -> None:
            answers.append(await turns.run(admit))

        async with anyio.create_task_group() as senders:
            for _ in range(60):  # more than there are threads for everybody
                senders.start_soon(send)
            for _ in range(2):
                await run_in_threadpool(began.acquire)
            for _ in range(10):
                answers.append(await run_in_threadpool(lambda: "read"))
            await anyio.sleep(0.1)
            assert not began.acquire(blocking=False), "two at a time"
            over.set()
        return answers

    answers = anyio.run(crowd)
    assert answers == ["read"] * 10 + ["admitted"] * 60


def _stored() -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(Study)) or 0
