"""A FirstRead of the bench's own: a fresh folder, a free port, a key, and what its database says."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

_REPOSITORY = Path(__file__).resolve().parent.parent
BOUNDARY = "firstread-bench"
ADMIN_PASSWORD = "only for this bench"
_START_SECONDS = 300.0
"""Enough on two cores that have much else to do."""


@dataclass
class Service:
    """A running service. `screened` is when each study's reading was committed, by `time.monotonic()`."""

    url: str
    key: str
    home: Path
    supervisor: int
    screened: dict[str, float] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to its database."""
        url = json.loads((self.home / "run" / "service.json").read_text())["database_url"]
        return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)

    def await_screened(self, studies: list[str], *, seconds: float = 300) -> None:
        """Returns once every one of the studies has its reading."""
        missing = set(studies)
        deadline = time.monotonic() + seconds
        with self.news:
            while missing := {study for study in missing if study not in self.screened}:
                if not self.news.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{len(missing)} studies were not screened in {seconds:g} s")

    def processes(self) -> dict[int, str]:
        """Every process of the service by its role."""
        return _roles(self.supervisor)

    def signal(self, role: str, what: signal.Signals) -> None:
        """Signals the processes of one role."""
        for pid, name in self.processes().items():
            if name == role:
                os.kill(pid, what)


@contextmanager
def running_service(**environment: str) -> Iterator[Service]:
    """The service `make run` starts, without samples; gone with its folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="firstread-bench-") as folder:
        home = Path(folder) / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = os.environ | {
            "FIRSTREAD_HOME": str(home),
            "PORT": str(port),
            "FIRSTREAD_DIMSE_PORT": "0",
            "FIRSTREAD_SAMPLES": "false",
            "FIRSTREAD_ADMIN_PASSWORD": ADMIN_PASSWORD,
            **environment,
        }
        with (Path(folder) / "up.log").open("wb") as log:
            words = [*_FIRSTREAD, "up", "--until-parent-ends"]
            up = subprocess.Popen(words, env=env, stdout=log, stderr=log, cwd=_REPOSITORY)
        try:
            _await_ready(port, up, Path(folder) / "up.log")
            key = subprocess.run(
                [*_FIRSTREAD, "key", "add", "bench", "--scope", "intake,read"],
                env=env, cwd=_REPOSITORY, check=True, capture_output=True, text=True,
            ).stdout.strip()  # fmt: skip
            service = Service(f"http://127.0.0.1:{port}", key, home, up.pid)
            listening = threading.Event()
            threading.Thread(target=_listen, args=(service, listening), daemon=True).start()
            listening.wait(10)
            yield service
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


_FIRSTREAD = (sys.executable, "-m", "app.cli")


def _await_ready(port: int, up: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if up.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")


def _listen(service: Service, listening: threading.Event) -> None:
    """Notes when a study's reading is committed: PostgreSQL notifies at the commit."""
    with service.database() as connection:
        connection.execute("LISTEN firstread_events")
        listening.set()
        while True:
            try:
                select.select([connection], [], [], 60)
                for notice in connection.notifies(timeout=0):
                    study, state = notice.payload.split(" ", 1)
                    if state in ("screened", "withheld", "failed"):
                        with service.news:
                            service.screened.setdefault(study, time.monotonic())
                            service.news.notify_all()
            except psycopg.Error:
                return


def _roles(root: int) -> dict[int, str]:
    parents: dict[int, int] = {}
    words: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    ours = {root}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return {pid: _role(words[pid]) for pid in sorted(ours) if pid in words}


def _role(command: str) -> str:
    for part, role in (
        ("decoder_child", "decoder"),
        ("postgres", "PostgreSQL"),
        ("valkey", "Valkey"),
        (" web", "web server"),
        (" worker", "screening worker"),
        (" duty", "duty worker"),
        (" trainer", "training worker"),
        (" dimse", "DICOM listener"),
        (" up", "supervisor"),
    ):
        if part in command:
            return role
    return command[:40]


class Sender:
    """One client with one kept connection."""

    def __init__(self, url: str, *, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = headers or {}

    def post(self, path: str, body: bytes, content_type: str) -> tuple[float, int, bytes]:
        """When the last byte was handed over, the status, and the answer."""
        connection = self._connection
        connection.putrequest("POST", path)
        for name, value in (self._headers | {"Content-Type": content_type}).items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        sent = time.monotonic()
        answer = connection.getresponse()
        return sent, answer.status, answer.read()


def rest_body(data: bytes, *, name: str = "image.jpeg", **fields: str) -> tuple[bytes, str]:
    """The multipart/form-data of POST /api/v1/studies, and its media type."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = b"".join([*parts, head, data, f"\r\n--{BOUNDARY}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def stow_body(data: bytes) -> tuple[bytes, str]:
    """The multipart/related of a STOW-RS request (PS3.18 10.5), and its media type."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return (
        head + data + f"\r\n--{BOUNDARY}--\r\n".encode(),
        f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    )


def post_study(sender: Sender, data: bytes, **fields: str) -> tuple[float, str]:
    """When the last byte of the study was handed over, and its id."""
    body, content_type = rest_body(data, **fields)
    sent, status, answer = sender.post("/api/v1/studies", body, content_type)
    if status != 202:
        raise RuntimeError(f"{status}: {answer[:300]!r}")
    said = json.loads(answer)
    return sent, str(said["studies"][0]["id"] if "studies" in said else said["id"])
