"""Where a webhook may lead: judged at each connection by the address it goes to, whatever it is called."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

import pytest

from app.commands.delivery import DeliveryToSend
from app.domain.addresses import Range, may_be_sent_in_clear, may_be_sent_to, ranges_of
from worker.deliver import send

LOOPBACK = ranges_of(["127.0.0.0/8"])


class Receiver:
    """A server that keeps what it was asked and answers with a status and a Location."""

    def __init__(self, host: str = "127.0.0.1", *, status: int = 204, location: str = "") -> None:
        self.hosts: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                receiver.hosts.append(self.headers["Host"])
                self.send_response(status)
                self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.port = self.server.server_port

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()


def sent(url: str, allowed: tuple[Range, ...]) -> str | None:
    message = DeliveryToSend(
        delivery_id=uuid4(),
        destination_id=uuid4(),
        url=url,
        secret="s",
        event="study.screened",
        payload={},
        attempt=1,
    )
    return asyncio.run(send(message, seconds=5, allowed=allowed))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names stand for: of each, one answer for every time it is looked up; the last one stays."""
    known: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return real(host, port, *rest, **named)
        answers = known[name]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in addresses for found in real(address, port, *rest, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with ExitStack() as opened:
        inner = opened.enter_context(Receiver().listening())
        outer = opened.enter_context(
            Receiver(status=status, location=f"http://127.0.0.1:{inner.port}/").listening()
        )
        error = sent(f"http://127.0.0.1:{outer.port}/", LOOPBACK)
        assert error == f"The destination answered {status}, a redirect, which is not followed."
        assert (len(outer.hosts), inner.hosts) == (1, [])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
    ],
)
@pytest.mark.parametrize("allowed", [(), ("0.0.0.0/0", "::/0"), ("10.0.0.0/8",)])
def test_this_machine_is_reached_by_none_of_its_names(host: str, allowed: tuple[str, ...]) -> None:
    with Receiver().listening() as receiver:
        error = sent(f"http://{host}:{receiver.port}/", ranges_of(allowed))
        assert error is not None
        assert receiver.hosts == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254", "10.0.0.1", "::1"]
)
def test_a_name_that_stands_for_what_is_not_allowed_is_refused_before_anything_is_connected(
    names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    names["ris.hospital.example"] = [[address]]
    connected: list[Any] = []
    monkeypatch.setattr(
        asyncio.BaseEventLoop, "sock_connect", lambda *given: connected.append(given), raising=False
    )
    monkeypatch.setattr(socket.socket, "connect", lambda *given: connected.append(given))
    error = sent("http://ris.hospital.example:8080/", ())
    assert error is not None and "none this service may send to" in error
    assert connected == []


def test_the_address_that_was_judged_is_the_one_that_is_connected(names: dict[str, list[list[str]]]) -> None:
    with ExitStack() as opened:
        judged = opened.enter_context(Receiver("127.0.0.2").listening())
        names["ris.hospital.example"] = [["127.0.0.2"], ["127.0.0.1"]]  # another answer a moment later
        url = f"http://ris.hospital.example:{judged.port}/"
        assert sent(url, ranges_of(["127.0.0.2/32"])) is None
        assert judged.hosts == [f"ris.hospital.example:{judged.port}"]  # by its name, as virtual hosts need
        assert names["ris.hospital.example"] == [["127.0.0.1"]]  # looked up once
        refused = sent(url, ranges_of(["127.0.0.2/32"]))
        assert refused is not None and "none this service may send to" in refused


def test_of_several_addresses_only_those_allowed_are_connected(names: dict[str, list[list[str]]]) -> None:
    with Receiver("127.0.0.2").listening() as receiver:
        names["ris.hospital.example"] = [["169.254.169.254", "127.0.0.2"]]
        assert sent(f"http://ris.hospital.example:{receiver.port}/", ranges_of(["127.0.0.2"])) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
@pytest.mark.parametrize("allowed", [(), ("0.0.0.0/0", "::/0"), ("8.8.8.8", "2001:4860::/32")])
def test_nothing_leaves_in_clear_to_a_public_address_whatever_was_declared(
    names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch, address: str, allowed: tuple[str, ...]
) -> None:
    names["ris.hospital.example"] = [[address]]
    connected: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *given: connected.append(given))
    error = sent("http://ris.hospital.example/", ranges_of(allowed))
    assert error is not None and error.endswith("a public one, which results reach by https alone.")
    assert connected == []


def test_of_several_addresses_one_of_the_sites_own_is_connected_in_clear(
    names: dict[str, list[list[str]]],
) -> None:
    with Receiver("127.0.0.2").listening() as receiver:
        names["ris.hospital.example"] = [["8.8.8.8", "127.0.0.2"]]
        allowed = ranges_of(["0.0.0.0/0", "127.0.0.2"])
        assert sent(f"http://ris.hospital.example:{receiver.port}/", allowed) is None


@pytest.mark.parametrize(
    ("address", "allowed", "may"),
    [
        ("10.20.1.1", ["10.20.0.0/16"], True),
        ("::ffff:10.20.1.1", ["10.20.0.0/16"], True),
        ("10.20.1.1", ["0.0.0.0/0"], True),
        ("fd12::1", ["fd00::/8"], True),
        ("fec0::1", ["fec0::/10"], True),
        ("127.0.0.1", ["127.0.0.0/8"], True),
        ("127.0.0.1", ["0.0.0.0/0"], False),
        ("10.20.1.1", [], False),
        ("10.21.1.1", ["10.20.0.0/16"], False),
        ("8.8.8.8", [], False),
        ("8.8.8.8", ["8.8.8.0/24"], False),
        ("::ffff:8.8.8.8", ["8.8.8.0/24"], False),
        ("2001:4860:4860::8888", ["::/0"], False),
        ("169.254.169.254", ["169.254.169.254/32"], False),
    ],
)
def test_where_something_may_be_sent_in_clear(address: str, allowed: list[str], may: bool) -> None:
    assert may_be_sent_in_clear(ip_address(address), ranges_of(allowed)) is may


@pytest.mark.parametrize(
    ("address", "allowed", "may"),
    [
        ("8.8.8.8", [], True),
        ("2001:4860:4860::8888", [], True),
        ("10.20.1.1", [], False),
        ("192.168.0.1", [], False),
        ("172.16.0.1", [], False),
        ("100.64.0.1", [], False),
        ("fd12::1", [], False),
        ("127.0.0.1", [], False),
        ("0.0.0.0", [], False),
        ("224.0.0.1", [], False),
        ("255.255.255.255", [], False),
        ("168.63.129.16", [], False),
        ("64:ff9b::7f00:1", [], False),
        ("2002:7f00:1::", [], False),
        ("::ffff:10.0.0.1", [], False),
        ("::10.0.0.5", [], False),
        ("::10.0.0.5", ["10.0.0.0/8", "::/0"], False),
        ("::ffff:0:10.0.0.5", [], False),
        ("fec0::1", [], False),
        ("fec0::1", ["fec0::/10"], True),
        ("192.0.0.8", [], False),
        ("10.20.1.1", ["10.20.0.0/16"], True),
        ("::ffff:10.20.1.1", ["10.20.0.0/16"], True),
        ("10.21.1.1", ["10.20.0.0/16"], False),
        ("8.8.8.8", ["10.20.0.0/16"], False),
        ("127.0.0.1", ["0.0.0.0/0"], False),
        ("127.0.0.1", ["127.0.0.1/32"], True),
        ("169.254.7.1", ["169.254.7.0/24"], True),
        ("169.254.169.254", ["169.254.0.0/16"], False),
        ("169.254.169.254", ["169.254.169.254/32"], False),
        ("fd00:ec2::254", ["fd00::/8"], False),
        ("::1", ["::/0"], False),
        ("::1", ["::1/128"], True),
    ],
)
def test_where_something_may_be_sent(address: str, allowed: list[str], may: bool) -> None:
    assert may_be_sent_to(ip_address(address), ranges_of(allowed)) is may
