"""The audit trail: refusals in their own transaction, a flood in few rows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import select

from app.commands.audit import RefusalLog
from app.domain.roles import SYSTEM, Actor
from app.errors import Unavailable
from app.records import AuditEvent
from app.records.engine import forget_engine, transaction
from app.settings import settings
from tests.served import eventually

_STRANGER = Actor(kind="user", id=None, name="nobody", address="192.0.2.1")


def _refusals() -> list[AuditEvent]:
    with transaction() as session:
        statement = select(AuditEvent).where(AuditEvent.action == "refused").order_by(AuditEvent.id)
        return list(session.scalars(statement))


@contextmanager
def _silent_database() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as away:
        away.setenv("FIRSTREAD_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
        settings.cache_clear()
        forget_engine()
        yield
    settings.cache_clear()
    forget_engine()


def _counted() -> int:
    return sum(row.count for row in _refusals())


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


def test_a_flood_from_all_addresses_of_an_ipv6_network_shares_a_row(database: str) -> None:
    log = RefusalLog(burst=3, window_seconds=60)
    for number in range(50):
        log.refuse(by=replace(_STRANGER, address=f"2001:db8::{number:x}:1"), reason="not-signed-in")
    log.refuse(by=replace(_STRANGER, address="2001:db8:0:1::1"), reason="not-signed-in")
    log.refuse(by=replace(_STRANGER, address="::ffff:192.0.2.7"), reason="not-signed-in")
    log.refuse(by=replace(_STRANGER, address="::ffff:192.0.2.8"), reason="not-signed-in")
    assert len(_refusals()) == 6
    log.flush()
    assert len(_refusals()) == 7
    assert _counted() == 53


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


def test_what_a_silent_database_did_not_take_is_counted_when_it_answers_again(database: str) -> None:
    log = RefusalLog(burst=2, window_seconds=0)
    other = Actor(kind="user", id=None, name="another", address="192.0.2.2")
    slow = RefusalLog(burst=2, window_seconds=60)
    for _ in range(7):
        slow.refuse(by=_STRANGER, reason="forbidden")
    with _silent_database():
        for by in (_STRANGER, _STRANGER, other):
            with pytest.raises(Unavailable):  # its own row, and with it what was counted before
                log.refuse(by=by, reason="forbidden")
        with pytest.raises(Unavailable):
            slow.flush()
        with pytest.raises(Unavailable):
            slow.refuse(by=_STRANGER, reason="forbidden")
        assert (log.unwritten, slow.unwritten) == (3, 6)
    assert _counted() == 2
    slow.flush()
    log.flush()
    assert sorted((row.actor_name, row.count) for row in _refusals()) == [
        ("another", 1),
        ("nobody", 1),
        ("nobody", 1),
        ("nobody", 2),
        ("nobody", 6),
    ]
    assert (log.unwritten, slow.unwritten) == (0, 0)


def test_a_refusal_that_is_only_counted_does_not_fail_for_what_others_have_due(database: str) -> None:
    log = RefusalLog(burst=0, window_seconds=0)
    log.refuse(by=SYSTEM, reason="forbidden")
    with _silent_database():
        for _ in range(3):
            log.refuse(by=_STRANGER, reason="forbidden")
    log.flush()
    assert {row.actor_name: row.count for row in _refusals()} == {SYSTEM.name: 1, _STRANGER.name: 3}


def test_no_count_is_lost_or_doubled_where_threads_meet_a_database_that_comes_and_goes(database: str) -> None:
    log = RefusalLog(burst=1, window_seconds=0.05)
    log.start()
    told: list[int] = []

    def refused() -> None:
        for _ in range(40):
            try:
                log.refuse(by=_STRANGER, reason="forbidden")
            except Unavailable:
                told.append(1)

    with _silent_database():
        threads = [threading.Thread(target=refused) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told, "the database was never silent"
        eventually(lambda: log.unwritten == 160)
    refused()
    log.close()
    assert _counted() == 200


def test_the_counts_of_a_flood_that_has_stopped_are_written(database: str) -> None:
    log = RefusalLog(burst=1, window_seconds=0.2)
    log.start()
    for _ in range(20):
        log.refuse(by=_STRANGER, reason="forbidden")
    eventually(lambda: _counted() == 20)
    log.close()
    assert _counted() == 20


def test_the_counts_of_a_flood_that_has_stopped_outlive_a_silent_database(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RefusalLog(burst=0, window_seconds=0.5)
    log.start()
    with _silent_database():
        log.refuse(by=_STRANGER, reason="forbidden")
        log.refuse(by=_STRANGER, reason="forbidden")
        eventually(lambda: "refusals_not_audited" in capsys.readouterr().out)
    eventually(lambda: _counted() == 2)
    log.close()


def test_a_process_that_ends_beside_a_silent_database_says_how_many_refusals_are_lost(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = RefusalLog(burst=1)
    log.start()
    for _ in range(5):
        log.refuse(by=_STRANGER, reason="forbidden")
    with _silent_database():
        log.close()
    [said] = [line for line in capsys.readouterr().out.splitlines() if "refusals_lost" in line]
    assert re.search(r"count\W.*\b4\b", said), said
    assert _counted() == 1
