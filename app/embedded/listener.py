"""The listening sockets of web server and DICOM listener, opened by the supervisor and handed down.

So a port in use is told before anything is started, and callers wait while a process is started again.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from app.embedded.refusal import CannotStart

_BACKLOG = 2048
_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds of silence after which a peer is asked whether it is there, and between that, and how often."""


@dataclass(frozen=True)
class Chosen:
    """By which settings the address was chosen, for the sentence that says that it cannot be had."""

    who: str
    host: str
    port: str
    usual: int


WEB = Chosen("The web server", "FIRSTREAD_HOST", "PORT", 8000)
DICOM = Chosen("The DICOM listener", "FIRSTREAD_DIMSE_HOST", "FIRSTREAD_DIMSE_PORT", 11112)


def listen(host: str, port: int, chosen: Chosen = WEB) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one. Raises CannotStart with a sentence.

    A connection whose peer has vanished ends after two minutes; those that are accepted inherit that.
    """
    if not 0 <= port <= 65535:
        raise CannotStart(
            f"{port} is no port; choose one from 1 to 65535, for example with {chosen.port}={chosen.usual}."
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise CannotStart(
            f"{host!r} is no address of this machine; set {chosen.host} to one, such as 127.0.0.1 or 0.0.0.0."
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _ALIVE.items():
            if hasattr(socket, name):
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(_sentence(error, host, port, chosen)) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL under which a browser on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104, compared, not bound
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _sentence(error: OSError, host: str, port: int, chosen: Chosen) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use by another program; stop it, or choose another port, "
            f"for example with {chosen.port}={port + 1 if port < 65535 else chosen.usual}."
        )
    if error.errno == errno.EACCES:
        return (
            f"This user may not listen on port {port}; choose one above 1023, "
            f"for example with {chosen.port}={chosen.usual}."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host} is no address of this machine; set {chosen.host} to one, such as 127.0.0.1 or 0.0.0.0."
        )
    return f"{chosen.who} cannot listen on {host}, port {port}: {error.strerror}."
