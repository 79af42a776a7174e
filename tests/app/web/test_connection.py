"""What a connection may cost: sent to a real server by hand, head, body and trailers, and not read."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvicorn

from app.cli.web import server_of
from app.settings import settings
from app.web import connection as connections
from app.web.security import CONTENT_SECURITY_POLICY
from tests.served import eventually

Send = Callable[..., bytes]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """How long the body was; slowly where that is asked for."""
    if scope["type"] != "http":
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
        if scope["path"] == "/unread":
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * connections.PATIENCE_SECONDS)
    body = f"{scope['path']} {length}".encode()
    if scope["path"] == "/large":
        body = b"x" * 30_000_000
    if scope["path"] == "/headers":
        body = b" ".join(name for name, _ in scope["headers"])
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def server(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[uvicorn.Server]:
    """As `firstread web` runs it, with less patience."""
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 0.6)
    monkeypatch.setattr(connections, "READER_PATIENCE_SECONDS", 0.5)
    server = server_of(echo, settings(), port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield server
    server.should_exit = True
    thread.join(20)


def connected(server: uvicorn.Server) -> socket.socket:
    return socket.create_connection(server.servers[0].sockets[0].getsockname(), timeout=20)


@pytest.fixture
def sent(server: uvicorn.Server) -> Send:
    """Sends pieces over one connection and gives all that is answered until the server ends it."""

    def send(*pieces: bytes, pause: float = 0.0) -> bytes:
        with connected(server) as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:  # it was ended in the middle, as it should be
                    break
                time.sleep(pause)
            answer = b""
            try:
                while more := connection.recv(2**16):
                    answer += more
            except ConnectionResetError:
                pass
            return answer

    return send


def test_a_usual_request_and_one_after_it_are_answered(sent: Send) -> None:
    one = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    last = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = sent(one, one + last[:20], last[20:])
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.endswith(b"/b 0")
    assert answer.count(b"/a 300000") == 2


def test_an_answer_and_a_body_take_their_time(sent: Send) -> None:
    assert sent(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(b"/slow 0")
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
    assert sent(head, b"x", b"y", b"z", pause=0.5).endswith(b"/a 3")


@pytest.mark.parametrize(
    "begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nCookie: ", b"GET / HTTP/1.1\r\nHost: x\r\nA"]
)
def test_a_head_that_does_not_end_is_refused(sent: Send, begin: bytes) -> None:
    answer = sent(begin, *[b"y" * 2**16] * 12)
    # the refusal is lost where the rest came after the end of the connection
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")


def test_many_headers_are_as_long_as_one(sent: Send) -> None:
    answer = sent(b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"a: b\r\n" * 10_000] * 6)
    assert not answer or answer.startswith(b"HTTP/1.1 431 ")


def test_a_long_head_that_was_read_whole_before_the_end_hears_why(sent: Send) -> None:
    piece = b"y" * (connections.LONGEST_HEAD // 2)
    answer = sent(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: ", piece, piece, b"y" * 100, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert CONTENT_SECURITY_POLICY.encode() in answer


@pytest.mark.parametrize("begin", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_a_head_that_does_not_come_is_not_waited_for(sent: Send, begin: bytes) -> None:
    assert sent(begin).startswith(b"HTTP/1.1 408 ")


def test_a_connection_on_which_nothing_comes_is_ended_without_a_word(sent: Send) -> None:
    assert sent() == b""
    assert sent(b"\r\n\r\n") == b""


def test_a_head_that_drips_is_ended_too(sent: Send) -> None:
    dripped = [b"GET / HTTP/1.1\r\nHost: x\r\nA: ", *[b"y"] * 200]
    began = time.monotonic()
    answer = sent(*dripped, pause=0.05)
    assert not answer or answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 8, "it was listened to until the end"


def test_what_is_no_http_is_told_so_with_the_headers_of_every_answer(sent: Send) -> None:
    answer = sent(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"application/problem+json" in answer
    for name in (b"content-security-policy", b"x-content-type-options: nosniff", b"x-request-id"):
        assert name in answer.lower()


_CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_in_small_chunks_is_a_body(sent: Send) -> None:
    chunks = [b"1;note=small\r\nx\r\n" * 5_000] * 4
    last = b"0\r\nDigest: y\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = sent(_CHUNKED, *chunks, last)
    assert b"/a 20000" in answer
    assert answer.endswith(b"/b 0")


def test_trailers_are_no_headers_of_the_request(sent: Send) -> None:
    head = b"POST /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = sent(head + b"1\r\nx\r\n0\r\nAuthorization: Bearer y\r\n\r\n")
    assert answer.endswith(b"host connection transfer-encoding")


@pytest.mark.parametrize("begin", [b"0\r\n", b"0\r\nA: ", b"1;"])
@pytest.mark.parametrize("path", [b"/a", b"/unread"])
def test_trailers_without_end_are_refused_and_not_kept(
    server: uvicorn.Server, begin: bytes, path: bytes
) -> None:
    endless = b"a: b\r\n" * 10_000 if begin == b"0\r\n" else b"y" * 60_000
    with connected(server) as connection:
        connection.sendall(_CHUNKED.replace(b"/a", path) + b"1\r\nx\r\n" + begin)
        time.sleep(0.1)
        tracemalloc.start()
        taken = 0
        with suppress(OSError):
            for _ in range(500):
                connection.sendall(endless)
                taken += len(endless)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert taken < 500 * len(endless), "all of it was listened to"
    assert most < 8_000_000


def test_ten_thousand_requests_at_once_are_not_queued(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n" * 10_000)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    eventually(lambda: not server.server_state.connections)


def test_a_few_requests_at_once_are_answered_in_their_order(sent: Send) -> None:
    count = connections.MOST_WAITING
    asked = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(count)]
    answer = sent(b"".join(asked) + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    places = [answer.index(b"/%d 0" % number) for number in range(count)]
    assert places == sorted(places)
    assert answer.endswith(b"/last 0")


def test_a_body_that_nobody_wants_is_not_listened_to_for_ever(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nx")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        connection.sendall(b"y")  # uvicorn waits for the rest from now on, for ever
        assert connection.recv(1) == b""
        assert time.monotonic() - began < 3 * connections.PATIENCE_SECONDS


def test_a_large_body_that_nobody_wants_may_come_to_its_end(
    sent: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 1.5)
    pieces = [b"x" * 500_000] * 24
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 12000000\r\n\r\n"
    last = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = sent(head, *pieces, last, pause=0.1)
    assert answer.endswith(b"/b 0")


@pytest.mark.parametrize("how_often", [1, 10])
def test_who_reads_no_answer_is_not_waited_for(server: uvicorn.Server, how_often: int) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * how_often)
        eventually(lambda: len(server.server_state.connections) == 1, seconds=5)
        eventually(lambda: not server.server_state.connections, seconds=5)


def test_who_reads_slowly_gets_all_of_the_answer(server: uvicorn.Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        length, began = 0, time.monotonic()
        while more := connection.recv(1_000_000):
            length += len(more)
            time.sleep(0.05)
        assert length > 30_000_000
        assert time.monotonic() - began > 2 * connections.READER_PATIENCE_SECONDS


def test_the_connection_that_was_idle_longest_makes_room(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 20.0)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    with ExitStack() as opened:
        at_work = opened.enter_context(connected(server))
        at_work.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        idle = []
        for _ in range(6):
            idle.append(opened.enter_context(connected(server)))
            time.sleep(0.05)
        for each in idle[:3]:
            with suppress(ConnectionResetError):
                assert each.recv(1) == b""
        for each in idle[3:]:
            each.sendall(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
            assert each.recv(1000).endswith(b"/b 0")
        at_work.sendall(b"y")
        assert at_work.recv(1000).endswith(b"/a 2")


def test_an_answer_that_is_still_being_taken_makes_no_room(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READER_PATIENCE_SECONDS", 20.0)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    with connected(server) as slow, connected(server) as idle:
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        length = len(slow.recv(1000))
        eventually(lambda: not server.server_state.tasks, seconds=5)  # answered, and most of it not taken
        with connected(server) as one_more:
            with suppress(ConnectionResetError):
                assert idle.recv(1) == b""
            one_more.sendall(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one_more.recv(1000).endswith(b"/b 0")
        while more := slow.recv(1_000_000):
            length += len(more)
        assert length > 30_000_000


def test_where_all_are_at_work_one_more_is_turned_away(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    begun = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx"
    with connected(server) as one, connected(server) as two:
        for each in (one, two):
            each.sendall(begun)
        eventually(lambda: len(server.server_state.tasks) == 2, seconds=5)
        with connected(server) as third, suppress(ConnectionResetError):
            assert third.recv(1) == b""
        for each in (one, two):
            each.sendall(b"y")
            assert each.recv(1000).endswith(b"/a 2")


def test_a_process_has_as_many_open_files_as_it_may() -> None:
    code = (
        "import resource; from app.cli.web import _allow_open_files;"
        "_, most = resource.getrlimit(resource.RLIMIT_NOFILE);"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(most, 2048) if most >= 0 else 2048));"
        "_allow_open_files(1024); print(*resource.getrlimit(resource.RLIMIT_NOFILE));"
        "_allow_open_files(4096); print(*resource.getrlimit(resource.RLIMIT_NOFILE));"
        "_allow_open_files(300); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split("\n")[:3] == ["1024 2048", "2048 2048", "2048 2048"]
