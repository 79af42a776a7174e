"""Audit events: one row per thing that happened, in the transaction of what it tells."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.domain.addresses import subscriber
from app.domain.roles import Actor
from app.errors import Unavailable
from app.records import AuditEvent
from app.records.engine import transaction

_LOOKS_A_WINDOW = 12
"""How often within a window it is looked for windows that have ended."""
_log = structlog.get_logger(__name__)


def record(
    session: Session,
    *,
    action: str,
    by: Actor,
    study_id: UUID | None = None,
    subject_id: UUID | str | None = None,
    count: int = 1,
    **details: Any,
) -> None:
    """Adds an event to the caller's transaction. `details` must hold no patient data."""
    session.add(
        event_of(action=action, by=by, study_id=study_id, subject_id=subject_id, count=count, details=details)
    )


def event_of(
    *,
    action: str,
    by: Actor,
    study_id: UUID | None,
    subject_id: UUID | str | None,
    details: dict[str, Any],
    count: int = 1,
) -> AuditEvent:
    """An event that is not in any session yet; `details` must hold no patient data."""
    return AuditEvent(
        action=action,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        address=by.address,
        study_id=study_id,
        subject_id=str(subject_id) if subject_id else None,
        details=details,
        count=count,
    )


class RefusalLog:
    """Refusals, each in its own transaction; past `burst` a minute for a caller and reason they share a row.

    A flood must not fill the disk nor hide what else happened, also from many addresses of one IPv6 network.
    So the rest of the minute is counted in memory and written as one row with its count when the minute is
    over: by the next refusal, by the thread that `start` begins, or by `flush`. What the database does not
    take is counted in the caller's next such row.
    """

    def __init__(self, *, burst: int = 10, window_seconds: float = 60.0) -> None:
        self._burst = burst
        self._seconds = window_seconds
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str, str], _Window] = {}
        self._under_way = 0
        self._closing = threading.Event()
        self._writing = threading.Thread(target=self._keep_writing, name="refusals", daemon=True)

    def start(self) -> None:
        """Counts are written within seconds of their minute's end though no further refusal comes."""
        self._writing.start()

    def refuse(self, *, by: Actor, reason: str, **details: Any) -> None:
        """Writes or counts one refusal; `reason` is the problem's slug. Raises Unavailable where a refusal
        that should have its own row has none, and is only counted.
        """
        with self._lock:
            rows = self._taken(ended_by=time.monotonic())
            window = self._window_of(reason, by)
            window.seen += 1
            alone = window.seen <= self._burst
            if alone:
                rows.append(_Row(reason, by, details=details))
            else:
                window.counted += 1
        try:
            self._write(rows)
        except Unavailable:
            if alone:
                raise

    def flush(self) -> None:
        """Writes what was counted, of minutes that are not over too. Raises Unavailable, and has it still."""
        with self._lock:
            rows = self._taken(ended_by=None)
        self._write(rows)

    @property
    def unwritten(self) -> int:
        """How many refusals are counted here and in no row yet."""
        with self._lock:
            return self._under_way + sum(window.counted for window in self._windows.values())

    def close(self) -> None:
        """Writes what was counted, or says in the log how many refusals are lost with the process."""
        self._closing.set()
        if self._writing.is_alive():
            self._writing.join(5.0)
        try:
            self.flush()
        except Unavailable:
            pass  # told below
        if lost := self.unwritten:
            _log.error("refusals_lost", count=lost)

    def _keep_writing(self) -> None:
        while not self._closing.wait(self._seconds / _LOOKS_A_WINDOW):
            try:
                with self._lock:
                    rows = self._taken(ended_by=time.monotonic())
                self._write(rows)
            except Exception as error:  # noqa: BLE001  (whatever it was, they are counted still: the next time)
                _log.warning("refusals_not_audited", count=self.unwritten, error=type(error).__name__)

    def _window_of(self, slug: str, by: Actor) -> _Window:
        """The caller's running window; under the lock."""
        key = slug, by.name, subscriber(by.address)
        return self._windows.setdefault(key, _Window(started=time.monotonic(), by=by))

    def _taken(self, *, ended_by: float | None) -> list[_Row]:
        """Rows of the windows that had ended by then, or of all; these are forgotten. Under the lock."""
        ended = [
            key
            for key, window in self._windows.items()
            if ended_by is None or ended_by - window.started > self._seconds
        ]
        windows = [(key[0], self._windows.pop(key)) for key in ended]
        return [
            _Row(slug, window.by, count=window.counted, details={"aggregated": True})
            for slug, window in windows
            if window.counted
        ]

    def _write(self, rows: list[_Row]) -> None:
        """All of them are committed, or counted again beside what came meanwhile."""
        if not rows:
            return
        count = sum(row.count for row in rows)
        with self._lock:
            self._under_way += count
        try:
            with transaction() as session:
                for row in rows:
                    record(
                        session, action="refused", by=row.by, count=row.count, reason=row.slug, **row.details
                    )
        except BaseException:
            with self._lock:
                for row in rows:
                    self._window_of(row.slug, row.by).counted += row.count
            raise
        finally:
            with self._lock:
                self._under_way -= count


@dataclass
class _Window:
    started: float
    by: Actor
    seen: int = 0
    counted: int = 0
    """Refusals that have no row: those past the burst, and those that the database did not take."""


@dataclass(frozen=True)
class _Row:
    slug: str
    by: Actor
    count: int = 1
    details: dict[str, Any] = field(default_factory=dict)
