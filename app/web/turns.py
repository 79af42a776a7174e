"""Who of many senders is served next, so that readers hardly notice how many there are."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from app.errors import Unavailable

T = TypeVar("T")
_STEPS_ASIDE = 0.25
"""Seconds a sender whose turn it is waits for a moment without readers; then it is served beside them."""


class Turns:
    """Senders are served `at_once` at a time, in threads of their own, while no reader is being served, if
    that comes soon: however many send, readers keep threads, connections and the processor. Of more than
    `most` the others are asked to come back, before they give up by themselves.
    """

    def __init__(self, *, at_once: int, most: int) -> None:
        self._threads = CapacityLimiter(at_once)
        self._most = most
        self._inside = 0
        self._readers = 0
        self._no_reader = threading.Event()
        self._no_reader.set()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A reader is being served while the block lasts; for the event loop's thread alone."""
        self._readers += 1
        self._no_reader.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if self._readers == 0:
                self._no_reader.set()

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """A place for this request while the block lasts; raises Unavailable where all are taken.

        The body is then read and thrown away: who writes all of it before reading would not hear the answer.
        """
        if self._inside >= self._most:
            async for _ in request.stream():
                continue
            raise Unavailable("More images arrive than can be taken at this moment. Send this again.")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, in a thread, when its turn comes and readers let it."""

        def when_readers_let_it() -> T:
            self._no_reader.wait(_STEPS_ASIDE)
            return work()

        return await to_thread.run_sync(when_readers_let_it, limiter=self._threads)
