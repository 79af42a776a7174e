"""The real service as child processes on a free port: web server, screening worker, duty worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_LONGEST_START = 60.0


@dataclass(frozen=True)
class Service:
    """A running service; `log` is what its processes wrote."""

    url: str
    port: int
    log: Path

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        """A client of it, which follows no redirects."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextmanager
def serving(home: Path, *parts: str) -> Iterator[Service]:
    """`firstread web` and the other parts, with this process's FIRSTREAD_* settings, until the block ends."""
    port = free_port()
    log = home / "service.log"
    environment = os.environ | {"PORT": str(port), "FIRSTREAD_LOG_FORMAT": "json"}
    with ExitStack() as stack:
        for part in ("web", *parts):
            stack.enter_context(_process(part, environment=environment, log=log))
        url = f"http://127.0.0.1:{port}"
        wait_until_alive(url, log)
        yield Service(url, port, log)


@contextmanager
def _process(part: str, *, environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", part],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """The process has ended, by itself if it can."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_alive(url: str, log: Path) -> None:
    """Returns once the web server answers; fails with its log where it does not."""
    deadline = time.monotonic() + _LONGEST_START
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{log.read_text()[-4000:]}")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def eventually(ask: object, *, seconds: float = 30.0) -> object:
    """The first true answer of `ask()`; fails where none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()  # type: ignore[operator]
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")
