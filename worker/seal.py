"""What keeps the audit trail honest: it is sealed, and heads and messages go to the site's syslog server."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import structlog

from app.commands import audit_seals, audit_sending
from app.commands.audit_seals import Head, Watermark
from app.commands.audit_sending import Way
from app.dicom import audit_message
from app.dicom.audit_codes import SUCCESS
from app.dicom.audit_message import AuditedEvent
from app.queries import audit_messages
from app.records.engine import transaction
from app.settings import Settings
from app.syslog import NOTICE, WARNING, Syslog, SyslogMessage, SyslogSilent

HEAD = "AUDITHEAD"
"""MSGID of a syslog message that carries a head."""
_PATIENCE_SECONDS = 2.0
"""As long as a round waits for transactions to end; after that the next round looks again."""
_LOOK_SECONDS = 0.05
_LONG_SECONDS = 600.0
"""A transaction that holds sealing up for so long is told of."""
_SENDING_SECONDS = 20.0
"""As long as a round sends before it leaves the rest to the next one, which begins with the heads again."""
_AT_ONCE = 200
"""Messages to a connection; fewer where the server was too slow for as many."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Batch:
    """What goes to the server by one connection."""

    way: Way
    messages: list[SyslogMessage]
    up_to: int


class Sealer:
    """Two at once are harmless: sealing takes turns, and what is sent twice is the same. Whatever the syslog
    server does, sealing does not wait for it.
    """

    def __init__(self, configuration: Settings) -> None:
        self._syslog = syslog_of(configuration)
        self._messages = configuration.audit_messages
        self._site = configuration.site_name
        self._one_seals = threading.Lock()
        self._one_sends = threading.Lock()
        self._at_once = _AT_ONCE
        self._mark: Watermark | None = None
        self._marked_at = 0.0

    def round(self, *, stop: threading.Event) -> int:
        """What has settled is sealed, and what is sealed is sent; returns how many seals were made.

        A server that takes nothing is tried again by the next round; nothing is left out. What another round
        is at is left to it. Raises Unavailable without a database.
        """
        made = 0
        if self._one_seals.acquire(blocking=False):
            try:
                made = self._seal(stop)
            finally:
                self._one_seals.release()
        if self._syslog is not None and self._one_sends.acquire(blocking=False):
            try:
                self._send(self._syslog, stop)
            finally:
                self._one_sends.release()
        return made

    def _seal(self, stop: threading.Event) -> int:
        if self._mark is None:
            with transaction() as session:
                self._mark, self._marked_at = audit_seals.watermark(session), time.monotonic()
        if not self._settled(self._mark, stop):
            waits = time.monotonic() - self._marked_at
            if waits > _LONG_SECONDS:
                _log.warning("sealing_waits_for_a_transaction", seconds=round(waits))
            return 0
        made = 0
        while not stop.is_set():
            with transaction() as session:
                head = audit_seals.seal_next(session, up_to=self._mark.id)
            if head is None:
                break
            made += 1
            _log.info("audit_sealed", **_told(head))
        self._mark = None
        return made

    def _settled(self, mark: Watermark, stop: threading.Event) -> bool:
        ends = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with transaction() as session:
                if audit_seals.has_settled(session, mark):
                    return True
            if time.monotonic() > ends or stop.wait(_LOOK_SECONDS):
                return False

    def _send(self, server: Syslog, stop: threading.Event) -> None:
        ends = time.monotonic() + _SENDING_SECONDS
        ways = (self._next_heads, self._next_messages) if self._messages != "off" else (self._next_heads,)
        for following in ways:
            while not stop.is_set() and time.monotonic() < ends:
                batch = following()
                if batch is None:
                    break
                if not self._deliver(server, batch):
                    return

    def _next_heads(self) -> _Batch | None:
        with transaction() as session:
            sent = audit_sending.position(session, "heads")
            heads = audit_seals.heads_after(session, number=sent, limit=self._at_once)
        if not heads:
            return None
        return _Batch("heads", [head_message(head) for head in heads], up_to=heads[-1].number)

    def _next_messages(self) -> _Batch | None:
        """Of sealed events: those are all there, so none comes later between two that were sent."""
        with transaction() as session:
            up_to = audit_messages.sealed_up_to(session) or 0
            sent = audit_sending.position(session, "messages", begins_at=up_to)
            events = audit_messages.events(
                session,
                after=sent,
                up_to=up_to,
                identified=self._messages == "identified",
                size=self._at_once,
            )
        if not events:
            return None
        messages = [event_message(event, site=self._site) for event in events]
        return _Batch("messages", messages, up_to=events[-1].id)

    def _deliver(self, server: Syslog, batch: _Batch) -> bool:
        try:
            server.send(batch.messages)
        except SyslogSilent as error:
            self._at_once = max(self._at_once // 4, 1)
            _log.warning("syslog_silent", way=batch.way, reason=str(error))
            with transaction() as session:
                audit_sending.failed(session, batch.way, error=str(error))
            return False
        self._at_once = min(self._at_once * 2, _AT_ONCE)
        with transaction() as session:
            audit_sending.sent(session, batch.way, up_to=batch.up_to)
        return True


def syslog_of(configuration: Settings, *, seconds: float = 5.0) -> Syslog | None:
    """The site's syslog server, which takes what it is sent within `seconds`; None where it has none."""
    if configuration.audit_syslog is None:
        return None
    return Syslog(
        configuration.audit_syslog,
        authorities=configuration.audit_syslog_ca,
        certificate=configuration.audit_syslog_certificate,
        seconds=seconds,
    )


def head_message(head: Head) -> SyslogMessage:
    """What `firstread audit verify --head` finds in a log again."""
    return SyslogMessage(kind=HEAD, text=" ".join(f"{name}={value}" for name, value in _told(head).items()))


def event_message(event: AuditedEvent, *, site: str) -> SyslogMessage:
    """The event as a DICOM audit message."""
    return SyslogMessage(
        kind=audit_message.KIND,
        text=audit_message.xml(event, site=site, host=socket.gethostname()),
        severity=NOTICE if audit_message.outcome(event) == SUCCESS else WARNING,
        at=event.at,
    )


def _told(head: Head) -> dict[str, str | int]:
    return {"seal": head.number, "last_event": head.last_id, "events": head.rows, "head": head.head}
