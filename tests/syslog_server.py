"""A syslog server for tests, on loopback, that keeps what it got."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SECONDS = 10.0


class SyslogServer:
    """Listens by udp, tcp or tls, one connection after the other, octet-counted; each message is kept."""

    def __init__(self, by: str, *, certificate: Path | None = None, asks: bool = False) -> None:
        self._by = by
        self._got: queue.Queue[bytes] = queue.Queue()
        kind = socket.SOCK_DGRAM if by == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(("127.0.0.1", 0))
        self._context: ssl.SSLContext | None = None
        if by == "tls":
            assert certificate is not None
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2  # refuses before anything is sent
            if asks:
                self._context.verify_mode = ssl.CERT_REQUIRED
                self._context.load_verify_locations(certificate)
        if by != "udp":
            self._socket.listen()
        self._socket.settimeout(0.1)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """As the setting has it."""
        host = "localhost" if self._by == "tls" else "127.0.0.1"
        return f"{self._by}://{host}:{self._socket.getsockname()[1]}"

    def received(self, count: int) -> list[bytes]:
        """So many messages, once they are there; and whatever else is."""
        found = [self._got.get(timeout=_SECONDS) for _ in range(count)]
        while not self._got.empty():
            found.append(self._got.get())
        return found

    def __enter__(self) -> SyslogServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(_SECONDS)
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
                if self._by == "udp":
                    self._got.put(self._socket.recv(65535))
                    continue
                plain, _ = self._socket.accept()
                plain.settimeout(_SECONDS)
                with plain:
                    if self._context is None:
                        self._read(plain)
                    else:
                        with self._context.wrap_socket(plain, server_side=True) as secured:
                            self._read(secured)
                            secured.unwrap()

    def _read(self, connection: socket.socket) -> None:
        octets = b""
        while more := connection.recv(4096):
            octets += more
        while octets:
            length, _, octets = octets.partition(b" ")
            self._got.put(octets[: int(length)])
            octets = octets[int(length) :]


class StubbornServer:
    """Accepts every connection, by tcp or tls, and holds it open in its manner, until the block ends.

    `mute` does not even shake hands, `deaf` never reads, `slow` reads `per_second` octets, `chatty` reads and
    answers a byte every now and then without ever ending.
    """

    def __init__(
        self, manner: str, by: str = "tcp", *, certificate: Path | None = None, per_second: int = 0
    ) -> None:
        self._manner, self._by, self._per_second = manner, by, per_second
        self._context: ssl.SSLContext | None = None
        if by == "tls" and manner != "mute":
            assert certificate is not None
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._socket.settimeout(0.1)
        self.heard: list[bytes] = []
        """What was read, a connection after the other."""
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    @property
    def address(self) -> str:
        """As the setting has it."""
        host = "localhost" if self._by == "tls" else "127.0.0.1"
        return f"{self._by}://{host}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> StubbornServer:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join(_SECONDS)
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._hold, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _hold(self, connection: socket.socket) -> None:
        number = len(self.heard)
        self.heard.append(b"")
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_SECONDS)
            out = connection if self._context is None else self._context.wrap_socket(connection, True)
            with out:
                while not self._closing.wait(0.05):
                    if self._manner == "slow":
                        more = out.recv(max(self._per_second // 20, 1))
                        self.heard[number] += more
                        if not more:
                            return
                    elif self._manner == "chatty":
                        out.settimeout(0.01)
                        with contextlib.suppress(TimeoutError):
                            self.heard[number] += out.recv(65536)
                        out.settimeout(_SECONDS)
                        out.send(b".")


def certificate(folder: Path) -> Path:
    """A certificate for localhost that signs itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = folder / "localhost.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return pem
