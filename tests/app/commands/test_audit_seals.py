"""Seals on the audit trail: what has settled is sealed, whoever writes and commits meanwhile."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from app.commands import audit, audit_seals
from app.commands.audit_seals import GENESIS, Head
from app.domain.roles import SYSTEM
from app.queries import audit_chain
from app.records import AuditEvent, AuditSeal
from app.records.engine import engine, transaction
from migrations import downgrade, upgrade
from tests.audited import record_events, seal_all


def test_seals_continue_each_other_and_cover_every_event_once(database: str) -> None:
    record_events(3)
    first = seal_all()
    record_events(2)
    second = seal_all()
    assert [head.rows for head in first + second] == [3, 2]
    assert first[0].previous_head == GENESIS
    assert second[0].previous_head == first[0].head
    assert seal_all() == []


def test_a_seal_has_at_most_a_thousand_events(database: str) -> None:
    record_events(2001)
    assert [head.rows for head in seal_all()] == [1000, 1000, 1]


def test_an_event_whose_transaction_is_late_is_waited_for_and_sealed(database: str) -> None:
    record_events(1)
    late = engine().connect()
    late.begin()
    late.execute(_INSERT, {"action": "study.claimed"})  # its id is drawn, and lower than the next ones
    record_events(2)
    with transaction() as session:
        mark = audit_seals.watermark(session)
        assert not audit_seals.has_settled(session, mark)
    late.commit()
    late.close()
    with transaction() as session:
        assert audit_seals.has_settled(session, mark)
        head = audit_seals.seal_next(session, up_to=mark.id)
    assert head is not None
    assert head.rows == 4
    with transaction() as session:
        assert audit_chain.verify(session).findings == []


def test_an_event_that_was_rolled_back_leaves_a_gap_that_nobody_waits_for(database: str) -> None:
    record_events(1)
    with engine().connect() as lost:
        lost.execute(_INSERT, {"action": "study.claimed"})
        lost.rollback()
    record_events(1)
    assert [head.rows for head in seal_all()] == [2]
    with transaction() as session:
        assert audit_chain.verify(session).findings == []


def test_readers_and_whoever_writes_elsewhere_are_not_waited_for(database: str) -> None:
    record_events(1)
    with engine().connect() as reader, engine().connect() as writer:
        reader.execute(text("SELECT count(*) FROM audit_events"))
        writer.execute(text("CREATE TABLE elsewhere ()"))
        with transaction() as session:
            assert audit_seals.has_settled(session, audit_seals.watermark(session))


def test_a_writer_who_draws_an_id_after_the_mark_is_not_waited_for(database: str) -> None:
    record_events(1)
    with transaction() as session:
        mark = audit_seals.watermark(session)
    with engine().connect() as later:
        later.execute(_INSERT, {"action": "study.claimed"})
        with transaction() as session:
            assert audit_seals.has_settled(session, mark)
            head = audit_seals.seal_next(session, up_to=mark.id)
        later.commit()
    assert head is not None
    assert head.rows == 1
    assert [each.rows for each in seal_all()] == [1]


def test_nothing_is_lost_and_no_seal_broken_while_many_write_and_two_seal(database: str) -> None:
    """Every fifth transaction is rolled back, and each holds its id open for a while."""
    done = threading.Event()
    heads: list[Head] = []

    def write() -> None:
        for number in range(30):
            with engine().connect() as connection:
                connection.execute(_INSERT, {"action": "study.viewed"})
                connection.execute(text("SELECT pg_sleep(0.002)"))
                connection.rollback() if number % 5 == 0 else connection.commit()

    def seal() -> None:
        while not done.is_set():
            heads.extend(seal_all(patience=0.2))

    writers = [threading.Thread(target=write) for _ in range(6)]
    sealers = [threading.Thread(target=seal) for _ in range(2)]
    for thread in writers + sealers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sealers:
        thread.join()
    heads.extend(seal_all())
    with transaction() as session:
        found = audit_chain.verify(session)
        events = session.scalar(select(func.count()).select_from(AuditEvent))
    assert found.findings == []
    assert (found.events, found.unsealed, found.seals) == (events, 0, len(heads))
    assert events == 6 * 24
    assert len(heads) > 1


def test_while_one_sealer_is_at_it_the_other_makes_no_seal(database: str) -> None:
    record_events(1)
    with transaction() as one:
        assert audit_seals.seal_next(one, up_to=10**6) is not None
        with transaction() as other:
            assert audit_seals.seal_next(other, up_to=10**6) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_seals SET head = 'x'",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
        "UPDATE audit_events SET actor_name = 'nobody'",
        "DELETE FROM audit_events",
        # continues nothing, ends before the newest, and leaves a number out
        "INSERT INTO audit_seals SELECT number + 1, last_id + 1, rows, leaves, sealed_at, 'other', 'x'"
        " FROM audit_seals",
        "INSERT INTO audit_seals SELECT number + 1, last_id - 1, rows, leaves, sealed_at, head, 'x'"
        " FROM audit_seals",
        "INSERT INTO audit_seals SELECT number + 2, last_id + 1, rows, leaves, sealed_at, head, 'x'"
        " FROM audit_seals",
    ],
)
def test_the_database_itself_refuses_to_change_what_is_sealed(database: str, statement: str) -> None:
    record_events(2)
    seal_all()
    with pytest.raises(IntegrityError, match=r"append-only|does not continue"), transaction() as session:
        session.execute(text(statement))


def test_events_of_before_the_upgrade_are_sealed_as_they_were_found(database: str) -> None:
    record_events(3)
    downgrade(database, "0019")
    with create_engine(database, poolclass=NullPool).begin() as connection:
        connection.execute(_INSERT, {"action": "study.viewed"})
    upgrade(database)
    assert [head.rows for head in seal_all()] == [4]
    with transaction() as session:
        assert audit_chain.verify(session).findings == []


def test_a_head_can_be_computed_by_somebody_else(database: str) -> None:
    """As docs/audit.md has it, with nothing of ours."""
    import hashlib  # noqa: PLC0415
    import json  # noqa: PLC0415

    with transaction() as session:
        audit.record(session, action="study.viewed", by=SYSTEM, via="Straße \u2028 \U0001f600", score=0.1)
    [head] = seal_all()
    with transaction() as session:
        event = session.scalars(select(AuditEvent)).one()
        details = session.scalar(text("SELECT details::text FROM audit_events"))
        sealed_at = session.scalars(select(AuditSeal.sealed_at)).one()
    seconds = [f"{int(at.timestamp())}.{at.microsecond:06d}" for at in (event.at, sealed_at)]
    line = [
        str(event.id),
        seconds[0],
        "study.viewed",
        "system",
        None,
        "firstread",
        None,
        None,
        None,
        details,
        "1",
    ]
    octets = json.dumps(line, separators=(",", ":")).encode()
    leaf = event.id.to_bytes(8, "big") + hashlib.sha256(octets).digest()
    columns = ["firstread audit seal 1", "0" * 64, "1", str(event.id), "1", seconds[1]]
    octets = json.dumps(columns, separators=(",", ":")).encode()
    assert head.head == hashlib.sha256(octets + leaf).hexdigest()


_INSERT = text(
    "INSERT INTO audit_events (at, action, actor_kind, actor_name, details, count)"
    " VALUES (now(), :action, 'system', 'a test', '{}', 1)"
)
