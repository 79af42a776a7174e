"""Starting the service as a user does: `firstread up` in a process of its own, on a home of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FIRSTREAD = [sys.executable, "-P", "-m", "app.cli"]
START_SECONDS = 120.0


def processes_of(home: Path) -> dict[int, str]:
    """Every process that was told of this home, by its words, its environment or its working folder."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            told = (
                words
                + (entry / "environ").read_bytes().decode(errors="replace")
                + str((entry / "cwd").readlink())
            )
        except OSError:
            continue  # it ended while it was being looked at
        if str(home) in told and int(entry.name) != os.getpid():
            found[int(entry.name)] = words
    return found


def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Waits for the condition, and fails with `what` when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Up:
    """One `firstread up`."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FIRSTREAD_")},
            "FIRSTREAD_HOME": str(home),
            "PORT": "0",
            "FIRSTREAD_DIMSE_PORT": "0",
            "FIRSTREAD_SAMPLES": "false",
            "FIRSTREAD_ADMIN_PASSWORD": "a password for tests",
            **variables,
        }
        self._out = home.with_name(f"{home.name}.out")
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        """Starts without waiting."""
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*FIRSTREAD, "up", *options],
                env=self.variables,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        return self.process

    def start(self) -> None:
        """Starts and waits until it says that it is ready; `url` is then its address."""
        process = self.launch()
        until(
            lambda: "Ready: " in self.said() or process.poll() is not None,
            seconds=START_SECONDS,
            what=f"not ready: {self.said()}",
        )
        match = re.search(r"Ready: (http://\S+)", self.said())
        assert match, self.said()
        self.url = match[1]

    def said(self) -> str:
        """What the terminal shows."""
        return self._out.read_text() if self._out.exists() else ""

    def end(self, how: signal.Signals) -> int:
        """Sends the signal and waits; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    def command(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another `firstread` command for the same home."""
        return subprocess.run(
            [*FIRSTREAD, *words],
            env=self.variables,
            cwd="/",
            capture_output=True,
            text=True,
            input=given,
            timeout=120,
            check=False,
        )

    def kill(self) -> None:
        """Whatever a failed test left running is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
