"""Syslog messages are with the server, framed as each way has it, or it is said that they are not."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from app.syslog import WARNING, Syslog, SyslogMessage, SyslogSilent
from tests.syslog_server import StubbornServer, SyslogServer, certificate

_MESSAGES = [
    SyslogMessage(kind="AUDITHEAD", text="seal=1"),
    SyslogMessage(kind="X", text="zwei ✓\n", severity=WARNING),
]
_RFC5424 = re.compile(
    rb"<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [\x21-\x7e]{1,255} firstread \d+ "
    rb"([\x21-\x7e]{1,32}) - "
    rb"\xef\xbb\xbf(.*)",
    re.DOTALL,
)


def _read(octets: bytes) -> tuple[int, str, str]:
    found = _RFC5424.fullmatch(octets)
    assert found is not None, octets
    return int(found[1]), found[2].decode(), found[3].decode()


@pytest.mark.parametrize("by", ["udp", "tcp", "tls"])
def test_messages_arrive_whole_and_in_order(tmp_path: Path, by: str) -> None:
    pem = certificate(tmp_path)
    with SyslogServer(by, certificate=pem) as server:
        Syslog(server.address, authorities=pem).send(_MESSAGES)
        assert [_read(octets) for octets in server.received(2)] == [
            (85, "AUDITHEAD", "seal=1"),
            (84, "X", "zwei ✓\n"),
        ]


def test_a_server_whose_certificate_is_unknown_gets_nothing(tmp_path: Path) -> None:
    with SyslogServer("tls", certificate=certificate(tmp_path)) as server:
        with pytest.raises(SyslogSilent, match="SSLCertVerificationError"):
            Syslog(server.address).send(_MESSAGES)
        assert server.received(0) == []


def test_a_server_that_asks_who_we_are_is_shown_our_certificate(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with SyslogServer("tls", certificate=pem, asks=True) as server:
        with pytest.raises(SyslogSilent):
            Syslog(server.address, authorities=pem).send(_MESSAGES)
        Syslog(server.address, authorities=pem, certificate=pem).send(_MESSAGES)
        assert len(server.received(2)) == 2


def test_a_server_that_is_away_is_said_to_be_silent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SyslogSilent, match=r"ConnectionRefusedError") as refused:
        Syslog(f"tcp://127.0.0.1:{port}").send(_MESSAGES)
    assert str(port) not in str(refused.value)


@pytest.mark.parametrize("by", ["tcp", "tls"])
@pytest.mark.parametrize("manner", ["mute", "deaf", "slow", "chatty"])
@pytest.mark.parametrize("count", [2, 400])
def test_a_server_that_does_not_read_to_the_end_is_given_up_on_at_one_deadline_for_all(
    tmp_path: Path, by: str, manner: str, count: int
) -> None:
    pem = certificate(tmp_path)
    messages = [SyslogMessage(kind="X", text=f"{number} {'x' * 10_000}") for number in range(count)]
    with StubbornServer(manner, by, certificate=pem, per_second=2_000) as server:
        began = time.monotonic()
        with pytest.raises(SyslogSilent) as silent:
            Syslog(server.address, authorities=pem, seconds=0.8).send(messages)
        assert time.monotonic() - began < 4  # of a deadline at each step there would be many more
    if (by, manner) != ("tls", "chatty"):  # who talks after the end of TLS breaks it, and is told of at once
        assert str(silent.value) == "The syslog server did not take the messages within 0.8 seconds."


def test_an_address_of_a_kind_that_the_machine_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with SyslogServer("tcp") as server:
        port = int(server.address.rpartition(":")[2])
        kind = (socket.SOCK_STREAM, 0, "")
        places = [(999, *kind, ("::1", port, 0, 0)), (socket.AF_INET, *kind, ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
        Syslog("tcp://both.test:514").send(_MESSAGES)
        assert len(server.received(2)) == 2


def test_an_address_without_answer_leaves_time_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent, SyslogServer("tcp") as server:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        place = silent.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:  # its queue is full, so that nobody else is answered
            each.setblocking(False)
            each.connect_ex(place)
        port = int(server.address.rpartition(":")[2])
        stream = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *_, **__: [(*stream, place), (*stream, ("127.0.0.1", port))]
        )
        Syslog("tcp://log.hospital.example", seconds=2.0).send(_MESSAGES)
        assert len(server.received(2)) == 2
        for each in crowd:
            each.close()


@pytest.mark.parametrize(
    "address", ["http://log", "tcp://", "tcp://log:many", "tcp://user@log", "log:514", "udp://a/b"]
)
def test_an_address_that_makes_no_sense_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="udp://"):
        Syslog(address)


def test_a_port_that_cannot_be_is_said() -> None:
    with pytest.raises(SyslogSilent):
        Syslog("tcp://127.0.0.1:99999").send(_MESSAGES)
