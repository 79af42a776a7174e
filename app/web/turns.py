"""Who of many senders is served next, so that readers hardly notice how many there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from app.errors import Unavailable

T = TypeVar("T")


class Turns:
    """Senders are served `at_once` at a time, in threads of their own: however many send, readers keep
    threads, connections and the processor. Of more than `most` the others are asked to come back, before they
    give up by themselves.
    """

    def __init__(self, *, at_once: int, most: int) -> None:
        self._threads = CapacityLimiter(at_once)
        self._most = most
        self._inside = 0

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
        """What `work` gives, in a thread, when its turn comes."""
        return await to_thread.run_sync(work, limiter=self._threads)
