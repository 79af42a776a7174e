"""The duty worker seals the audit trail, and sends heads and messages until the syslog server has them."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli.audit_heads import heads
from app.commands import audit_sending
from app.queries import audit_chain, audit_messages, audit_sealing
from app.records import AuditSending
from app.records.base import now
from app.records.engine import engine, transaction
from app.settings import settings
from tests.audited import record_events, seal_all
from tests.builders import an_admitted_study
from tests.served import eventually
from tests.syslog_server import StubbornServer, SyslogServer, certificate
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


@pytest.mark.parametrize("by", ["tcp", "tls"])
@pytest.mark.parametrize("manner", ["deaf", "slow", "chatty"])
def test_sealing_goes_on_beside_a_server_that_hangs_and_what_waited_is_sent_in_order(
    database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str, manner: str
) -> None:
    pem = certificate(tmp_path)
    with StubbornServer(manner, by, certificate=pem, per_second=20) as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address, audit_syslog_ca=str(pem))
        record_events(1)
        hanging = threading.Thread(target=sealer.round, kwargs={"stop": _NEVER})
        hanging.start()
        eventually(lambda: len(server.heard) == 1)
        for _ in range(3):
            record_events(1)
            began = time.monotonic()
            assert sealer.round(stop=_NEVER) == 1
            assert time.monotonic() - began < 4.5  # the server is waited for five seconds
        hanging.join(10)
        assert not hanging.is_alive()
    with transaction() as session:
        assert audit_chain.verify(session).findings == []
        kept = session.get_one(AuditSending, "heads")
        assert kept.position == 0
        assert kept.error is not None and kept.error.startswith("The syslog server did not take the messages")
    with SyslogServer(by, certificate=pem) as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address)
        sealer.round(stop=_NEVER)
        assert [body.split()[0] for body in _bodies(server, 4)] == [
            f"seal={number}" for number in range(1, 5)
        ]
    with transaction() as session:
        kept = session.get_one(AuditSending, "heads")
        assert (kept.position, kept.error) == (4, None)


def test_a_server_too_slow_for_many_at_once_is_given_as_many_as_it_takes(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = _sealer(monkeypatch)
    for _ in range(40):
        record_events(1)
        sealer.round(stop=_NEVER)
    with StubbornServer("slow", per_second=4_000) as server:
        sealer = Sealer(settings().model_copy(update={"audit_syslog": server.address}))
        monkeypatch.setattr(sealer._syslog, "_seconds", 1.0)
        positions = []
        for _ in range(20):
            sealer.round(stop=_NEVER)
            with transaction() as session:
                positions.append(session.get_one(AuditSending, "heads").position)
            if positions[-1] == 40:
                break
        assert positions[0] == 0, "forty are too many for it at first"
        assert positions == sorted(positions)
        assert positions[-1] == 40
        told = b"".join(server.heard)
    assert [number for number in range(1, 41) if b"seal=%d " % number not in told] == []


def test_a_round_ends_though_there_is_more_to_send_and_the_next_begins_with_the_heads(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.seal._SENDING_SECONDS", 0.0)
    with SyslogServer("tcp") as server:
        sealer = _sealer(monkeypatch, audit_syslog=server.address)
        record_events(1)
        assert sealer.round(stop=_NEVER) == 1
        assert server.received(0) == []
        monkeypatch.setattr("worker.seal._SENDING_SECONDS", 20.0)
        sealer.round(stop=_NEVER)
        assert [body.split()[0] for body in _bodies(server, 1)] == ["seal=1"]


def test_how_long_the_server_lacks_something_is_said_of_heads_and_of_messages_that_are_wanted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _sealer(monkeypatch, audit_syslog="tcp://127.0.0.1:1", audit_messages="pseudonymous")
    server.round(stop=_NEVER)
    record_events(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.commands.audit_seals.now", lambda: now() - timedelta(hours=1))
        seal_all()
    with transaction() as session:
        assert audit_sealing.unsent_seconds(session, settings()) == pytest.approx(3600, abs=60)
        audit_sending.position(session, "heads")
        audit_sending.sent(session, "heads", up_to=1)
        audit_sending.position(session, "messages", begins_at=0)
        assert audit_sealing.unsent_seconds(session, settings()) == pytest.approx(3600, abs=60)
        no_messages = settings().model_copy(update={"audit_messages": "off"})
        assert audit_sealing.unsent_seconds(session, no_messages) == 0
        audit_sending.sent(session, "messages", up_to=audit_messages.sealed_up_to(session) or 0)
        assert audit_sealing.unsent_seconds(session, settings()) == 0


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
