"""The duty worker seals the audit trail, and sends heads and messages until the syslog server has them."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from app.cli.audit_heads import heads
from app.queries import audit_chain
from app.records import AuditSending
from app.records.engine import engine, transaction
from app.settings import settings
from tests.audited import record_events, seal_all
from tests.builders import an_admitted_study
from tests.syslog_server import SyslogServer
from worker import tasks
from worker.seal import Sealer

_NEVER = threading.Event()


def _sealer(monkeypatch: pytest.MonkeyPatch, **configured: str) -> Sealer:
    for name, value in configured.items():
        monkeypatch.setenv(f"FIRSTREAD_{name.upper()}", value)
    settings.cache_clear()
    return Sealer(settings())


def _bodies(server: SyslogServer, count: int) -> list[str]:
    return [octets.decode().partition("\ufeff")[2] for octets in server.received(count)]


def test_every_head_reaches_the_syslog_server_and_verifies_from_its_log(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    with SyslogServer("tcp") as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address)
        record_events(2)
        assert sealer.round(stop=_NEVER) == 1
        record_events(1)
        assert sealer.round(stop=_NEVER) == 1
        assert sealer.round(stop=_NEVER) == 0
        log = tmp_path / "syslog"
        log.write_text("\n".join(_bodies(server, 2)))
    known = heads([str(log)])
    assert list(known.values()) == [1, 2]
    with transaction() as session:
        assert audit_chain.verify(session, known=known).findings == []


def test_while_the_server_is_silent_nothing_is_left_out(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SyslogServer("tcp") as server:
        address = server.address
    sealer = _sealer(monkeypatch, audit_syslog=address)
    for _ in range(2):
        record_events(1)
        assert sealer.round(stop=_NEVER) == 1  # sealed, though not sent
    with transaction() as session:
        kept = session.get_one(AuditSending, "heads")
        assert kept.position == 0
        assert kept.error is not None
    with SyslogServer("tcp") as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address)
        sealer.round(stop=_NEVER)
        assert [body.split()[0] for body in _bodies(server, 2)] == ["seal=1", "seal=2"]
        sealer.round(stop=_NEVER)
        assert server.received(0) == []
    with transaction() as session:
        kept = session.get_one(AuditSending, "heads")
        assert (kept.position, kept.error) == (2, None)


def test_messages_begin_where_they_are_switched_on_and_leave_no_sealed_event_out(
    database: str, blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_events(3)
    seal_all()
    with SyslogServer("tcp") as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address, audit_messages="pseudonymous")
        sealer.round(stop=_NEVER)
        assert [body.split()[0] for body in _bodies(server, 1)] == ["seal=1"]
        an_admitted_study(blobs, patient_id="SECRET-7")
        sealer.round(stop=_NEVER)
        head, *messages = _bodies(server, 2)
    assert head.startswith("seal=2")
    assert any('csd-code="image.admitted"' in message for message in messages)
    assert "SECRET-7" not in "".join(messages)


def test_identified_messages_name_the_patient(database: str, blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    with SyslogServer("tcp") as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address, audit_messages="identified")
        sealer.round(stop=_NEVER)
        an_admitted_study(blobs, patient_id="SECRET-7")
        sealer.round(stop=_NEVER)
        _, *messages = _bodies(server, 2)
    assert any('ParticipantObjectID="SECRET-7"' in message for message in messages)


def test_a_transaction_that_stays_open_holds_sealing_up_and_then_is_sealed_with_the_rest(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.seal._PATIENCE_SECONDS", 0.0)
    sealer = _sealer(monkeypatch)
    with engine().connect() as late:
        late.execute(
            text(
                "INSERT INTO audit_events (at, action, actor_kind, actor_name, details, count)"
                " VALUES (now(), 'study.viewed', 'system', 'late', '{}', 1)"
            )
        )
        record_events(2)
        assert sealer.round(stop=_NEVER) == 0
        late.commit()
    assert sealer.round(stop=_NEVER) == 1
    with transaction() as session:
        found = audit_chain.verify(session)
    assert (found.findings, found.events) == ([], 3)


def test_the_duty_worker_is_told_to_seal_as_often_as_configured(
    broker: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_AUDIT_SEAL_INTERVAL", "7")
    settings.cache_clear()
    from app.queue import DUTY_QUEUE, SEAL, configure_from_settings, queue  # noqa: PLC0415

    configure_from_settings()
    planned = queue.conf.beat_schedule["seal"]
    assert (planned["task"], planned["schedule"], planned["options"]["queue"]) == (SEAL, 7.0, DUTY_QUEUE)
    assert SEAL in queue.tasks
    record_events(1)
    tasks.seal()
    with transaction() as session:
        assert audit_chain.verify(session).seals == 1
