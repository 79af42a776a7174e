"""A training beside the machine's other work: while that takes place, one core is left to it."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import torch

from models.judge import Report

_LEAST_SECONDS = 1.0
"""Over less, what the system counts (hundredths of seconds) says little."""
_AT_WORK = 0.08
"""Cores taken by others from which on they are at work. A service at rest takes .05, a reading .08 s."""
_KEPT_SECONDS = 60.0
"""So long after others were at work the core is still theirs: studies come one by one."""

Taken = Callable[[], tuple[float, float]]


def taken_by_others() -> tuple[float, float]:
    """Seconds of a steady clock, and processor seconds that this machine has worked for other processes."""
    spent = psutil.cpu_times()
    busy = sum(getattr(spent, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
    return time.monotonic(), busy - time.process_time()


class CoreForOthers:
    """How many threads torch has between the steps of a training: ``threads``, and one fewer, but never none,
    while others are at work on this machine and for a minute after.

    The lowest priority alone does not do it: where a training is on every core, a study that comes alone
    waits a fifth longer for its reading (`bench/beside_training.py`). The core is not always left, for of two
    it is half of the training; so the first study after a minute of silence waits that fifth longer still.
    """

    def __init__(self, threads: int, *, taken: Taken = taken_by_others) -> None:
        self._threads, self._taken = threads, taken
        self._since, self._theirs = taken()
        self._left_until = self._since

    def settle(self) -> None:
        """The calling thread's operations have the threads that are right by what others took since it was
        settled before.
        """
        now, theirs = self._taken()
        if (passed := now - self._since) < _LEAST_SECONDS:
            return
        if theirs - self._theirs > _AT_WORK * passed:
            self._left_until = now + _KEPT_SECONDS
        self._since, self._theirs = now, theirs
        torch.set_num_threads(max(1, self._threads - (now < self._left_until)))

    def settled_before(self, report: Report) -> Report:
        """The report, which fine-tuning makes between two steps, in the thread that makes them."""

        def settled(stage: str, done: int, of: int) -> None:
            self.settle()
            report(stage, done, of)

        return settled
