"""Heads of requests that are too long, do not come or are no HTTP, sent to a real server by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.cli.web import server_of
from app.settings import settings
from app.web import request_head
from app.web.security import CONTENT_SECURITY_POLICY

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
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * request_head.PATIENCE_SECONDS)
    body = f"{scope['path']} {length}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def sent(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """Sends pieces over one connection and gives all that is answered until the server ends it."""
    monkeypatch.setattr(request_head, "PATIENCE_SECONDS", 0.6)
    server = server_of(echo, settings(), port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    address = server.servers[0].sockets[0].getsockname()

    def send(*pieces: bytes, pause: float = 0.0) -> bytes:
        with socket.create_connection(address, timeout=20) as connection:
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

    yield send
    server.should_exit = True
    thread.join(20)


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
    piece = b"y" * (request_head.LONGEST_HEAD // 2)
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
