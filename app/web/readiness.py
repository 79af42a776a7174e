"""Whether studies can be taken: looked at once a second, however many ask.

`/readyz` is open to everybody. Would each request look for itself, anybody could have the disk written to,
and database and broker asked, as often as they like.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel

from app import queue
from app.errors import Problem
from app.queries import operations
from app.records.engine import transaction
from app.settings import settings

GOOD_FOR_SECONDS = 1.0
"""How long what was found is said again."""
PATIENCE_SECONDS = 4.0
"""After that, what is still being looked at does not answer; less than who asks is willing to wait."""
_BROKER_SILENT = "the broker does not answer; studies wait for the next sweep"
_DATABASE_SILENT = "the database does not answer"

T = TypeVar("T")


class Readiness(BaseModel):
    """What works and what does not, in words."""

    ready: bool
    database: str
    disk: str
    broker: str
    screening: str


class ReadinessProbe:
    """Looks at what a web process needs to take studies."""

    def __init__(self, disk: Callable[[], str]) -> None:
        """`disk` says `ok`, or what keeps stored bytes from being safe."""
        self._database = _Probe(_ask_database, silent=(_DATABASE_SILENT, "unknown"))
        self._disk = _Probe(disk, silent="the folder of the stored bytes does not answer")
        self._broker = _Probe(_ask_broker, silent=_BROKER_SILENT)

    async def latest(self) -> Readiness:
        """As it was found at most `GOOD_FOR_SECONDS` ago, or is found within `PATIENCE_SECONDS`."""
        (database, screening), disk, broker = await asyncio.gather(
            self._database.latest(), self._disk.latest(), self._broker.latest()
        )
        ready = database == "ok" and disk == "ok"
        return Readiness(ready=ready, database=database, disk=disk, broker=broker, screening=screening)


class _Probe(Generic[T]):
    """One look at a time, in a thread that no reader needs; who asks meanwhile waits for what that one finds.

    A look that hangs holds its one thread and no further one is begun: until it ends the part is `silent`.
    """

    def __init__(self, look: Callable[[], T], *, silent: T) -> None:
        self._look = look
        self._found = self._silent = silent
        self._found_at = float("-inf")
        self._looking: asyncio.Task[T] | None = None
        self._began_at = 0.0
        self._thread = CapacityLimiter(1)

    async def latest(self) -> T:
        if self._looking is None:
            if time.monotonic() - self._found_at < GOOD_FOR_SECONDS:
                return self._found
            self._began_at = time.monotonic()
            self._looking = asyncio.create_task(self._find())
        patience = self._began_at + PATIENCE_SECONDS - time.monotonic()
        ended, _ = await asyncio.wait({self._looking}, timeout=max(patience, 0.0))  # it goes on if we do not
        return ended.pop().result() if ended else self._silent

    async def _find(self) -> T:
        try:
            self._found = await to_thread.run_sync(self._look, limiter=self._thread, abandon_on_cancel=True)
            self._found_at = time.monotonic()
            return self._found
        finally:
            self._looking = None


def _ask_database() -> tuple[str, str]:
    try:
        with transaction() as session:
            backlog = operations.backlog(session)
    except Problem:
        return _DATABASE_SILENT, "unknown"
    oldest = backlog.oldest_unscreened_seconds
    if oldest is None or oldest < settings().stalled_minutes * 60:
        return "ok", "ok"
    return "ok", f"the oldest study has waited {oldest / 60:.0f} minutes for screening"


def _ask_broker() -> str:
    return "ok" if queue.ready() else _BROKER_SILENT
