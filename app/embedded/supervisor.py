"""Keeps the parts of the service running, and ends them in order."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from app.embedded.child import Child
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.refusal import CannotStart, StartCancelled
from app.embedded.signals import Signals
from app.embedded.valkey import EmbeddedValkey

_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_STEADY_SECONDS = 60.0
"""A part that ran this long has recovered: its next restart is a first one again."""
_IMPORTANT = re.compile(r"\[(error|critical) *\]|\b(ERROR|CRITICAL)\b|\"level\": ?\"(error|critical)\"")
"""What a line of a log says of its own weight, as text or as JSON."""
_LINES_AT_ONCE = 3
_PATIENCE_SECONDS = 15.0
"""How long a program may take to end by itself; every task may run twice, so killing one later loses
nothing.
"""


class Part(Protocol):
    """Something that runs as child processes of this one."""

    name: str

    def start(self) -> None:
        """Runs; raises CannotStart with a sentence, StartCancelled."""

    def ended(self) -> str | None:
        """None while it runs; otherwise how it ended, in words."""

    def ask_to_stop(self) -> None:
        """Has been told to end, and may take its time."""

    def stop(self, *, for_good: bool) -> None:
        """Does not run; keeps its address unless `for_good`."""


class Server:
    """An embedded server as a part."""

    def __init__(self, name: str, server: EmbeddedPostgres | EmbeddedValkey, *, signals: Signals) -> None:
        self.name = name
        self._server = server
        self._signals = signals

    def start(self) -> None:
        self._server.start(cancelled=self._signals.requested)

    def ended(self) -> str | None:
        return None if (code := self._server.exit_code()) is None else _in_words(code)

    def ask_to_stop(self) -> None:
        """Nothing yet: the programs need it to the end."""

    def stop(self, *, for_good: bool) -> None:
        if for_good:
            self._server.stop()
        else:
            self._server.halt()


class Program:
    """A program of our own as a part: one child with a log."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._pass_fds = pass_fds
        self._child: Child | None = None
        self._read_to = log.stat().st_size if log.exists() else 0

    def start(self) -> None:
        self._child = Child(self._command, log=self._log, pass_fds=self._pass_fds)

    def ended(self) -> str | None:
        if self._child is None:
            return "it was not started"
        code = self._child.exit_code()
        if code is None:
            return None
        last = self.last_words()
        return f"{_in_words(code)}; {last}" if last else _in_words(code)

    def ask_to_stop(self) -> None:
        if self._child is not None:
            self._child.send(signal.SIGTERM)

    def stop(self, *, for_good: bool) -> None:  # noqa: ARG002, a program has no address
        if self._child is not None:
            self._child.stop(())
            self._child = None

    def last_words(self) -> str:
        """The last line of its log, of a traceback the one that names the error."""
        try:
            with self._log.open("rb") as stream:
                stream.seek(max(0, self._log.stat().st_size - 4096))
                lines = [line.rstrip() for line in stream.read().decode(errors="replace").splitlines()]
        except OSError:
            return ""
        return next((line[:300] for line in reversed(lines) if line and not line[0].isspace()), "")

    def news(self) -> list[str]:
        """Lines of its log since the last call that somebody at the terminal should see, a few at most."""
        try:
            size = self._log.stat().st_size
            if size < self._read_to:  # the log was cut
                self._read_to = 0
            with self._log.open("rb") as stream:
                stream.seek(self._read_to)
                new = stream.read(1 << 20)
        except OSError:
            return []
        whole = new.rpartition(b"\n")[0]
        self._read_to += len(whole) + 1 if whole else 0
        lines = [line.strip()[:300] for line in whole.decode(errors="replace").splitlines()]
        important = [line for line in lines if _IMPORTANT.search(line)]
        left_out = len(important) - _LINES_AT_ONCE
        return important[:_LINES_AT_ONCE] + (
            [f"... and {left_out} more in {self._log}"] if left_out > 0 else []
        )


class _Kept:
    """A part with what the supervisor remembers of it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.failures = 0
        self.started = 0.0
        self.restart_at: float | None = None


class Supervisor:
    """Starts parts, restarts those that end by themselves, and stops all in the opposite order."""

    def __init__(self, *, signals: Signals, say: Callable[[str], None]) -> None:
        self._signals = signals
        self._say = say
        self._kept: list[_Kept] = []

    def start(self, part: Part) -> None:
        """The part runs and is looked after. Raises CannotStart when it cannot; it is then not kept."""
        kept = _Kept(part)
        self._kept.append(kept)
        try:
            part.start()
        except BaseException:
            self._kept.remove(kept)
            part.stop(for_good=True)
            raise
        kept.started = time.monotonic()

    def watch(self, *, every_second: Callable[[], None] = lambda: None) -> None:
        """Returns when somebody asks for the end; until then every part that ends is started again, the
        sooner the longer it had run.
        """
        while not self._signals.requested():
            now = time.monotonic()
            for kept in self._kept:
                self._look_after(kept, now)
            every_second()
            due = [kept.restart_at - now for kept in self._kept if kept.restart_at is not None]
            self._signals.wait(min([1.0, *due]))

    def _look_after(self, kept: _Kept, now: float) -> None:
        part = kept.part
        if isinstance(part, Program):
            for line in part.news():
                self._say(f"{part.name}: {line}")
        if kept.restart_at is None:
            how = part.ended()
            if how is None:
                return
            if now - kept.started > _STEADY_SECONDS:
                kept.failures = 0
            self._plan_restart(kept, f"The {part.name} ended ({how})", now)
        elif now >= kept.restart_at:
            try:
                part.start()
            except StartCancelled:
                return
            except CannotStart as refusal:
                self._plan_restart(kept, str(refusal).rstrip("."), now)
            else:
                kept.restart_at, kept.started = None, time.monotonic()

    def _plan_restart(self, kept: _Kept, why: str, now: float) -> None:
        kept.part.stop(for_good=False)  # what it may have left behind of its own children
        pause = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2**kept.failures)
        kept.failures += 1
        kept.restart_at = now + pause
        self._say(f"{why}; starting it again in {pause:g} s.")

    def stop(self) -> None:
        """Nothing runs that was started here. A second request to end makes it quick."""
        for kept in reversed(self._kept):
            if isinstance(kept.part, Program):
                kept.part.ask_to_stop()
        while self._kept:
            kept = self._kept[-1]
            self._await_end(kept.part)
            kept.part.stop(for_good=True)
            self._kept.pop()

    def _await_end(self, part: Part) -> None:
        """Gives a program the time to end by itself, unless somebody grows impatient."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while isinstance(part, Program) and part.ended() is None:
            if self._signals.impatient() or time.monotonic() > deadline:
                return
            self._signals.wait(0.1)


def _in_words(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
