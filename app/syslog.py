"""Syslog messages (RFC 5424) by UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425)."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.domain.sentence import sentence

ADDRESS = r"^(udp|tcp|tls)://([^/@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$"
"""How a server is written; without a port it is the registered one."""
UNHEARD = re.compile(r"tls://|(udp|tcp)://(127\.0\.0\.1|localhost|\[::1\])(:|$)")
"""Where what is sent crosses no network in the clear: by TLS, or to a relay on this machine."""
NOTICE, WARNING = 5, 4
"""Severities."""
_AUTHPRIV = 10
"""The facility of security messages; DICOM PS3.15 A.6 asks for it."""
_BOM = b"\xef\xbb\xbf"
_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_LARGEST_DATAGRAM = 65_000
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


class SyslogSilent(Exception):
    """The server was not reached, or did not take everything; says so in a sentence without its address."""


@dataclass(frozen=True, kw_only=True)
class SyslogMessage:
    """One message; `kind` is its MSGID."""

    kind: str
    text: str
    severity: int = NOTICE
    at: datetime | None = None
    """When it was made; None is now."""


class Syslog:
    """A server. Every `send` is a connection of its own, which the server must end too: whoever has not read
    to the end has not taken what was sent.
    """

    def __init__(
        self,
        address: str,
        *,
        authorities: Path | None = None,
        certificate: Path | None = None,
        seconds: float = 5.0,
    ) -> None:
        """`address` is as the setting has it; a `send` ends within `seconds` in all, and as long as the
        resolver takes for its name. Raises ValueError for another address.
        """
        parts = re.fullmatch(ADDRESS, address)
        if parts is None:
            raise ValueError("A syslog server is written as udp://, tcp:// or tls:// and host:port.")
        self._by, host, port = parts.groups()
        self._host = host.strip("[]")
        self._port = int(port or _PORTS[self._by])
        self._authorities = authorities
        self._certificate = certificate
        self._seconds = seconds

    def send(self, messages: Sequence[SyslogMessage]) -> None:
        """All of them are with the server, in this order; over UDP, on their way. Raises SyslogSilent, after
        which some may have arrived.
        """
        octets = [_octets(message) for message in messages]
        try:
            if self._by == "udp":
                self._datagrams(octets, _Deadline(self._seconds))
            else:
                self._stream(octets, _Deadline(self._seconds))
        except TimeoutError as error:
            seconds = self._seconds
            raise SyslogSilent(
                sentence(f"The syslog server did not take the messages within {seconds:g} seconds.")
            ) from error
        except (OSError, OverflowError) as error:  # ssl's errors are OSErrors; a port can be too large
            raise SyslogSilent(
                sentence(f"The syslog server did not take the messages ({type(error).__name__}).")
            ) from error

    def _datagrams(self, messages: Sequence[bytes], deadline: _Deadline) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as out:
            for message in messages:
                out.settimeout(deadline.left())
                out.sendto(message[:_LARGEST_DATAGRAM], address)

    def _stream(self, messages: Sequence[bytes], deadline: _Deadline) -> None:
        with self._connected(deadline) as plain:
            if self._by == "tcp":
                _pour(plain, messages, deadline)
                plain.shutdown(socket.SHUT_WR)
                _await_end(plain, deadline)
                return
            plain.settimeout(deadline.left())
            with self._context().wrap_socket(plain, server_hostname=self._host) as out:
                _pour(out, messages, deadline)
                out.settimeout(deadline.left())
                # A server that answers close_notify has read to the end; one that just closes has, too.
                with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    out.unwrap()

    def _connected(self, deadline: _Deadline) -> socket.socket:
        """A connection to the first of the server's addresses that answers; they share the time."""
        places = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for left, (family, kind, protocol, _, address) in zip(range(len(places), 0, -1), places, strict=True):
            out = None
            try:
                out = socket.socket(family, kind, protocol)  # of a kind that this machine may not have
                out.settimeout(deadline.left() / left)
                out.connect(address)
            except OSError:
                if out is not None:
                    out.close()
                if left == 1:
                    raise
            else:
                return out
        raise OSError  # a name without addresses, which resolvers do not give

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._certificate is not None:
            context.load_cert_chain(self._certificate)
        return context


class _Deadline:
    """The end of all that a `send` does: who is slow at each step is not waited for at each anew."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError where there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _pour(out: socket.socket, messages: Sequence[bytes], deadline: _Deadline) -> None:
    octets = memoryview(b"".join(b"%d %b" % (len(message), message) for message in messages))
    while octets:
        out.settimeout(deadline.left())
        octets = octets[out.send(octets) :]


def _await_end(out: socket.socket, deadline: _Deadline) -> None:
    """The server has closed, having read to the end; one that went away in between resets."""
    while True:
        out.settimeout(deadline.left())
        if not out.recv(1024):
            return


def _octets(message: SyslogMessage) -> bytes:
    at = (message.at or datetime.now(UTC)).astimezone(UTC)
    host = _UNPRINTABLE.sub("-", socket.gethostname())[:255] or "-"
    head = (
        f"<{_AUTHPRIV * 8 + message.severity}>1 {at:%Y-%m-%dT%H:%M:%S.%f}Z {host} firstread {os.getpid()} "
        f"{message.kind} - "
    )
    return head.encode("ascii") + _BOM + message.text.encode()
