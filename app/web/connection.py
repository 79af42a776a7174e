"""What a connection may cost: how long heads and trailers may be and take, how many requests may wait behind
each other, how long somebody may read no answer, and how many connections there may be.

uvicorn and its parser bound none of it: one connection could fill the memory with a header that never ends.
"""

from __future__ import annotations

import asyncio
import json
import resource
from http import HTTPStatus

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.security import on_every_answer

LONGEST_HEAD = 64 * 1024
"""Bytes; beside them at most what the transport reads at once."""
PATIENCE_SECONDS = 30.0
"""From a connection, or the first byte of a further request, to the end of its head; and for each
`LEAST_UNWANTED` of a body that comes after its answer.
"""
LEAST_UNWANTED = 1024 * 1024
MOST_WAITING = 16
"""Requests of a connection that came before the one ahead of them was answered."""
READER_PATIENCE_SECONDS = 300.0
"""Who has taken nothing of an answer for so long, and up to twice that, is gone. What the system
and a proxy hold for a slow one is taken in one piece, a minute or two after the last.
"""

MOST_CONNECTIONS = 4096
"""Of a process, where its limit of open files allows twice as many."""

_log = structlog.get_logger(__name__)


class _TooManyWaiting(Exception):
    """More requests came at once than wait behind each other."""


class BoundedConnection(HttpToolsProtocol):
    """Ends connections whose heads or trailers are too long, do not come, or are no HTTP, and whose other end
    takes no answer.
    """

    _in_message = False
    _in_head = False
    _begun_now = False
    _body_now = False
    _received = 0
    _unwanted = 0
    _patience: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None
    _left_to_write = 0
    _took_something = False
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Its first head is waited for."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        if len(self.connections) > most_connections():
            self._make_room()
        self._reader = self.loop.call_later(READER_PATIENCE_SECONDS, self._look_at_reader)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._wait_no_more()
        if self._reader is not None:
            self._reader.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What is no body is counted: head, trailers, and what chunks are wrapped in."""
        if self.transport.is_closing():
            return
        self._begun_now = self._body_now = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_message:
            # what came before it in the same piece is not its own
            self._received = 0 if self._begun_now or self._body_now else self._received + len(data)
            if self._received > LONGEST_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self._in_message and not self._in_head:
            self._unwanted += len(data)
            if self._unwanted > LEAST_UNWANTED:
                self._wait_no_more()
                self._unwanted = 0
        if self._in_head or answered:
            self._wait()

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte."""
        super().on_message_begin()
        self._in_message = self._in_head = self._begun_now = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for trailers too, which are no headers: those have been judged by then."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if len(self.pipeline) >= MOST_WAITING:
            raise _TooManyWaiting  # ends the parsing: one piece can hold ten thousand
        self._in_head = False
        self._unwanted = 0
        self._wait_no_more()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body_now = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser after the last byte of the body."""
        self._in_message = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's words go to no caller)
        """What is no HTTP is told so, with the headers of every answer."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def on_response_complete(self) -> None:
        """Called when an answer is complete."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        """The connection that has been idle longest ends; this one, where all are at work."""
        idle = [
            each
            for each in self.connections
            if isinstance(each, BoundedConnection) and each._is_idle() and each._has_sent_all()
        ]
        longest = min(idle, key=lambda each: each._idle_since, default=self)
        _log.warning("connections_full", idle=len(idle))
        longest.transport.abort()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _has_sent_all(self) -> bool:
        return not self.transport.is_closing() and not self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """Called by the transport when the other end has taken most of what it was sent."""
        self._took_something = True
        super().resume_writing()

    def _look_at_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left and left >= self._left_to_write > 0 and not self._took_something:
            _log.info("reader_gone", bytes=left)
            self.transport.abort()
            return
        self._left_to_write, self._took_something = left, False
        self._reader = self.loop.call_later(READER_PATIENCE_SECONDS, self._look_at_reader)

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(PATIENCE_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._wait_no_more()
        if self.transport.is_closing():
            return
        _log.info("request_head_refused", status=status.value)
        nothing_came = status == HTTPStatus.REQUEST_TIMEOUT and not self._in_head
        behind_the_answer = self._in_message and not self._in_head
        if self._is_idle() and not nothing_came and not behind_the_answer:
            self.transport.write(_answer(status))
        self.transport.close()


def most_connections() -> int:
    """How many this process holds at most; the other open files are for what it does for them."""
    return min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def _answer(status: HTTPStatus) -> bytes:
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": status.value}).encode()
    headers = on_every_answer() | {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
