"""The audit trail: refusals in their own transaction, a flood in few rows."""

from __future__ import annotations

import threading

from sqlalchemy import select

from app.commands.audit import RefusalLog
from app.domain.roles import SYSTEM, Actor
from app.records import AuditEvent
from app.records.engine import transaction

_STRANGER = Actor(kind="user", id=None, name="nobody", address="192.0.2.1")


def _refusals() -> list[AuditEvent]:
    with transaction() as session:
        statement = select(AuditEvent).where(AuditEvent.action == "refused").order_by(AuditEvent.id)
        return list(session.scalars(statement))


def test_a_refusal_is_written_though_its_request_rolls_back(database: str) -> None:
    RefusalLog().refuse(by=_STRANGER, reason="not-signed-in", path="/studies/{id}")
    [row] = _refusals()
    assert (row.actor_name, row.address, row.details["reason"]) == ("nobody", "192.0.2.1", "not-signed-in")


def test_a_flood_shares_a_row_and_every_refusal_is_counted(database: str) -> None:
    log = RefusalLog(burst=3, window_seconds=60)
    for _ in range(50):
        log.refuse(by=_STRANGER, reason="not-signed-in")
    log.refuse(by=SYSTEM, reason="not-signed-in")
    assert len(_refusals()) == 4
    log.flush()
    rows = _refusals()
    assert len(rows) == 5
    assert sum(row.count for row in rows) == 51
    log.flush()
    assert len(_refusals()) == 5


def test_the_next_refusal_after_the_window_writes_what_was_counted(database: str) -> None:
    log = RefusalLog(burst=1, window_seconds=0)
    for _ in range(3):
        log.refuse(by=_STRANGER, reason="forbidden")
    assert sum(row.count for row in _refusals()) == 3


def test_refusals_of_many_threads_are_all_counted(database: str) -> None:
    log = RefusalLog(burst=2, window_seconds=60)
    threads = [
        threading.Thread(target=lambda: [log.refuse(by=_STRANGER, reason="forbidden") for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush()
    assert sum(row.count for row in _refusals()) == 80
