"""The audit trail as DICOM audit messages, into a file or to syslog."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from app.cli.audit_progress import bar
from app.cli.running import at_the_terminal, running_settings
from app.commands import audit, audit_seals
from app.dicom import audit_message
from app.dicom.audit_message import AuditedEvent
from app.errors import Conflict, Unavailable, Unprocessable
from app.queries import audit_messages
from app.queries.audit_messages import Span
from app.records.engine import transaction
from app.settings import Settings
from app.syslog import SyslogSilent
from worker.seal import event_message, syslog_of

_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_SENDING_SECONDS = 60.0
"""A page of messages that the syslog server has not taken by then was not taken."""


def export(*, out: Path | None, identified: bool, since: datetime | None, until: datetime | None) -> None:
    """Every event of that time is told; that it was begun is on record before the first one leaves. Raises
    Conflict where the file is there already, Unprocessable without a syslog server, Unavailable where it does
    not take them, or where who writes to the trail comes to no end.
    """
    configured = running_settings()
    span = Span(since=since, until=until)
    newest = _settled()
    with _way_out(out, configured) as tell, bar("messages") as report:
        with transaction() as session:
            of = audit_messages.count(session, up_to=newest, span=span)
            audit.record(
                session,
                action="audit.exported",
                by=at_the_terminal(),
                events=of,
                identified=identified,
                to="file" if out else "syslog",
            )
        told, last = 0, None
        while True:
            with transaction() as session:
                events = audit_messages.events(
                    session, after=last, up_to=newest, identified=identified, span=span
                )
            if not events:
                break
            tell(events)
            told, last = told + len(events), events[-1].id
            report(told, of)
    print(f"{told} messages {f'are in {out}' if out else 'are with the syslog server'}.")


def _settled() -> int:
    """The newest id that was drawn, once all up to it are there or never will be."""
    with transaction() as session:
        mark = audit_seals.watermark(session)
    ends = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends:
        with transaction() as session:
            if audit_seals.has_settled(session, mark):
                return mark.id
        time.sleep(_LOOK_SECONDS)
    raise Unavailable("Somebody has been writing to the audit trail for long and has not ended. Try again.")


@contextmanager
def _way_out(out: Path | None, configured: Settings) -> Iterator[Callable[[list[AuditedEvent]], None]]:
    site, host = configured.site_name, socket.gethostname()
    if out is None:
        server = syslog_of(configured, seconds=_SENDING_SECONDS)
        if server is None:
            raise Unprocessable("There is no syslog server: set FIRSTREAD_AUDIT_SYSLOG.")

        def send(events: list[AuditedEvent]) -> None:
            try:
                server.send([event_message(event, site=site) for event in events])
            except SyslogSilent as error:
                raise Unavailable(f"{error} Try again.") from error

        yield send
        return
    try:
        file = out.open("x", encoding="utf-8")
    except FileExistsError:
        raise Conflict(f"There is a file {out} already.") from None
    except OSError as error:
        raise Unprocessable(f"The file {out} cannot be written: {error.strerror}.") from None
    with file:
        out.chmod(0o600)

        def write(events: list[AuditedEvent]) -> None:
            file.writelines(f"{audit_message.xml(event, site=site, host=host)}\n" for event in events)

        yield write
