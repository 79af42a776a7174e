"""Audit events: one row per thing that happened, in the transaction of what it tells."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.domain.roles import Actor
from app.records import AuditEvent
from app.records.engine import transaction


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

    A flood must not fill the disk nor hide what else happened, so the rest of the minute is counted in memory
    and written as one row with its count when the minute is over (by the next refusal, or by `flush`).
    """

    def __init__(self, *, burst: int = 10, window_seconds: float = 60.0) -> None:
        self._burst = burst
        self._window = window_seconds
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str, str | None], _Window] = {}

    def refuse(self, *, by: Actor, reason: str, **details: Any) -> None:
        """Writes or counts one refusal; `reason` is the problem's slug."""
        key = (reason, by.name, by.address)
        over: list[tuple[tuple[str, str, str | None], _Window]] = []
        with self._lock:
            now = time.monotonic()
            over = self._take_over(now)
            window = self._windows.setdefault(key, _Window(started=now, by=by))
            window.seen += 1
            write = window.seen <= self._burst
        with transaction() as session:
            for (slug, _, _), ended in over:
                _write(session, slug=slug, window=ended, burst=self._burst)
            if write:
                record(session, action="refused", by=by, reason=reason, **details)

    def flush(self) -> None:
        """Writes what was counted; called when the process ends."""
        with self._lock:
            rest = list(self._windows.items())
            self._windows.clear()
        with transaction() as session:
            for (slug, _, _), window in rest:
                _write(session, slug=slug, window=window, burst=self._burst)

    def _take_over(self, now: float) -> list[tuple[tuple[str, str, str | None], _Window]]:
        ended = [
            (key, window) for key, window in self._windows.items() if now - window.started > self._window
        ]
        for key, _ in ended:
            del self._windows[key]
        return ended


class _Window:
    def __init__(self, *, started: float, by: Actor) -> None:
        self.started = started
        self.by = by
        self.seen = 0


def _write(session: Session, *, slug: str, window: _Window, burst: int) -> None:
    if window.seen > burst:
        record(
            session, action="refused", by=window.by, count=window.seen - burst, reason=slug, aggregated=True
        )
