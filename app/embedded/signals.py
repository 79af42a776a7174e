"""Signals that end the service or tell of a child: noticed between two steps, never in the middle of one."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_REQUEST_SECONDS = 1.0
"""Signals closer together are one request: `make` passes on what the terminal has sent to both of them."""


class Signals:
    """Counts the requests to end. No handler raises, so no step is left half done and no child forgotten.

    With `until_parent_ends`, the end of the process that started this one is a request too.
    """

    def __init__(self, *, until_parent_ends: bool = False) -> None:
        self._parent = os.getppid() if until_parent_ends else None
        self._first: float | None = None
        self._again = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def listen(self) -> None:
        """From now on signals are counted; call it from the main thread."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in ENDING:
            # nohup ignores SIGHUP on purpose; a shell ignores SIGINT for its background jobs, yet whoever
            # sends
            # it to this process by name means it
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._count)
        signal.signal(signal.SIGCHLD, self._notice)

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or as soon as a signal comes."""
        ready, _, _ = select.select([self._reader], [], [], max(seconds, 0.0))
        if ready:
            os.read(self._reader, 4096)

    def request(self) -> None:
        """The same as a signal: somebody asks for the end."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        elif now - self._first > _ONE_REQUEST_SECONDS:
            self._again = True

    def requested(self) -> bool:
        """Whether somebody asked for the end."""
        if self._first is None and self._parent is not None and os.getppid() != self._parent:
            self.request()
        return self._first is not None

    def impatient(self) -> bool:
        """Whether somebody asked a second time."""
        return self._again

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.request()

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        """SIGCHLD only ends `wait`; the children are then asked one by one."""
