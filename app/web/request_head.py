"""The head of a request, its first line and headers, before any code of ours sees it: how long it may be, and
how long it may take to come.

uvicorn and its parser bound neither: one connection could fill the memory with a header that never ends.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.security import on_every_answer

LONGEST_HEAD = 64 * 1024
"""Bytes; beside them at most what the transport reads at once."""
PATIENCE_SECONDS = 30.0
"""From a connection, or the first byte of a further request, to the end of its head."""

_log = structlog.get_logger(__name__)


class BoundedHead(HttpToolsProtocol):
    """Ends connections whose heads are too long, do not come, or are no HTTP."""

    _in_message = False
    _in_head = False
    _begun_now = False
    _received = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Its first head is waited for."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As far as the head goes, it is counted."""
        if self.transport.is_closing():
            return
        self._begun_now = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            # what came before it in the same piece is not its own
            self._received = 0 if self._begun_now else self._received + len(data)
            if self._received > LONGEST_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        answered = self.cycle is None or self.cycle.response_complete
        if self._in_head or (answered and not self._in_message):
            self._wait()

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte."""
        super().on_message_begin()
        self._in_message = self._in_head = self._begun_now = True

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_head = False
        self._wait_no_more()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by the parser after the last byte of the body."""
        self._in_message = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's words go to no caller)
        """What is no HTTP is told so, with the headers of every answer."""
        self._refuse(HTTPStatus.BAD_REQUEST)

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
        under_way = self.cycle is not None and not self.cycle.response_complete
        nothing_came = status == HTTPStatus.REQUEST_TIMEOUT and not self._in_head
        if not (under_way or nothing_came):
            self.transport.write(_answer(status))
        self.transport.close()


def _answer(status: HTTPStatus) -> bytes:
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": status.value}).encode()
    headers = on_every_answer() | {
        "content-type": "application/problem+json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
