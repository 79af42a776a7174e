"""Live pages: one listener per process, fanned out to every open event stream.

Only ids and states travel. A stream that reconnects with its Last-Event-ID gets what it missed, or a `resync`
where that is no longer known; whoever gets a `resync` loads what it shows anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from app.domain.roles import Caller, Permission
from app.errors import Problem, TooManyRequests
from app.queries.live import Gap, StudyChanged, changes
from app.web import metrics
from app.web.auth import GuardedRoute, identify, require
from app.web.openapi import problems_of

HEARTBEAT_SECONDS = 15
RECHECK_SECONDS = 60
RECONNECT_MILLISECONDS = 2000
MOST_STREAMS = 1000
_REMEMBERED = 2000
_QUEUED = 500
_REST_SECONDS = 60
_TOGETHER_SECONDS = 0.25
"""What happens so soon after other news goes out with what follows: each writing costs, for every page."""


@dataclass(frozen=True)
class _Event:
    number: int
    line: bytes
    """As it stands on the wire; the same for all who hear it."""


class EventHub:
    """Fans out what the listener hears; lives on the event loop of the process."""

    def __init__(self) -> None:
        self._epoch = uuid4().hex[:8]
        self._number = 0
        self._recent: deque[_Event] = deque(maxlen=_REMEMBERED)
        self._queues: set[asyncio.Queue[_Event | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def stop(self) -> None:
        """Ends the listener and every stream, those that are still to come too."""
        self._stopped = True
        for waiting in self._queues:
            self._put(waiting, None)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _start(self) -> None:
        """Listens from the first stream on; a process that only takes images need not hear of each."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="event-hub")

    def _rest(self) -> None:
        """Listens no more once nobody has for a while; what happens then is a `resync` for whoever comes."""
        if not self._queues and self._task is not None:
            self._task.cancel()
            self._task = None
            self._recent.clear()
            self._number += 1

    async def _listen(self) -> None:
        async for change in changes():
            match change:
                case StudyChanged(study_id, state):
                    self._publish("study", json.dumps({"id": study_id, "state": state}))
                case Gap():
                    self._recent.clear()
                    self._publish("resync", "{}")

    def _publish(self, name: str, data: str) -> None:
        self._number += 1
        event = self._event(name, data)
        self._recent.append(event)
        for waiting in self._queues:
            self._put(waiting, event)

    def _event(self, name: str, data: str) -> _Event:
        """The latest; a browser sends its id back as Last-Event-ID."""
        identified = ServerSentEvent(data, event=name, id=f"{self._epoch}-{self._number}")
        return _Event(self._number, identified.encode())

    def _resync(self) -> _Event:
        return self._event("resync", "{}")

    def _put(self, waiting: asyncio.Queue[_Event | None], event: _Event | None) -> None:
        if waiting.full():
            while not waiting.empty():
                waiting.get_nowait()
            event = self._resync() if event else None
        waiting.put_nowait(event)

    def _missed(self, last_event_id: str | None) -> list[_Event]:
        """What came after that event; a `resync` where that is not known."""
        resync = [self._resync()]
        epoch, _, number = (last_event_id or "").partition("-")
        if epoch != self._epoch or not number.isdecimal() or len(number) > 12:
            return resync
        seen = int(number)
        oldest = self._recent[0].number if self._recent else self._number + 1
        if seen + 1 < oldest or seen > self._number:
            return resync
        return [event for event in self._recent if event.number > seen]

    @contextlib.contextmanager
    def subscribed(self, last_event_id: str | None) -> Iterator[asyncio.Queue[_Event | None]]:
        """What was missed, then what happens, until the None that ends it; a slow reader gets a `resync`."""
        waiting: asyncio.Queue[_Event | None] = asyncio.Queue(maxsize=_QUEUED)
        for event in self._missed(last_event_id):
            self._put(waiting, event)
        if self._stopped:
            self._put(waiting, None)
        else:
            self._start()
        self._queues.add(waiting)
        try:
            yield waiting
        finally:
            self._queues.discard(waiting)
            asyncio.get_running_loop().call_later(_REST_SECONDS, self._rest)

    def check_room(self) -> None:
        """Raises TooManyRequests where too many streams are open."""
        if len(self._queues) >= MOST_STREAMS:
            raise TooManyRequests("Too many pages are open at once.", retry_after=30)


router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["live"])


@router.get(
    "/events",
    summary="What happens to studies, as it happens",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": (
                "Server-sent events: `study` with `{id, state}`; `resync`: load everything anew;"
                f" `beat` every {HEARTBEAT_SECONDS} s: the connection is alive."
            ),
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems_of(401, 403, 429),
    },
)
async def events(
    request: Request,
    _caller: Annotated[Caller, require(Permission.READ, counts_as_activity=False)],
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> EventSourceResponse:
    """Streams ids and states, never names. Ends when the session does."""
    hub: EventHub = request.app.state.hub
    hub.check_room()
    metrics.live_pages.inc()
    return EventSourceResponse(
        _stream(request, hub, last_event_id),
        ping=HEARTBEAT_SECONDS,
        ping_message_factory=lambda: ServerSentEvent("{}", event="beat"),
        headers={"X-Accel-Buffering": "no"},
    )


async def _stream(
    request: Request, hub: EventHub, last_event_id: str | None
) -> AsyncIterator[ServerSentEvent | bytes]:
    loop = asyncio.get_running_loop()
    recheck_at = loop.time() + RECHECK_SECONDS
    with hub.subscribed(last_event_id) as waiting:
        yield ServerSentEvent(comment="live", retry=RECONNECT_MILLISECONDS)
        while True:
            with contextlib.suppress(TimeoutError):
                event = await asyncio.wait_for(waiting.get(), timeout=max(0.0, recheck_at - loop.time()))
                told = [event] + [waiting.get_nowait() for _ in range(waiting.qsize())]
                lines = [event.line for event in told if event]
                if lines:
                    yield b"".join(lines)
                if None in told:
                    return
                await asyncio.sleep(_TOGETHER_SECONDS)
            if loop.time() >= recheck_at:
                if not await run_in_threadpool(_still_allowed, request):
                    return
                recheck_at = loop.time() + RECHECK_SECONDS


def _still_allowed(request: Request) -> bool:
    """False once the session or key that opened the stream is no more."""
    try:
        caller = identify(request, counts_as_activity=False)
    except Problem as problem:
        return problem.retry_helps  # a silent database ends no stream
    return caller is not None and caller.actor.may(Permission.READ)
