"""While one study is read, the next one is made ready: no view of it, and no claim.

The server decodes its pictures, which are kept where those of every opened study are kept; nothing of that
leaves it. Browsers that can may make its page as well (`app.web.pages.showing`), which is on record.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog
from fastapi import Request
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from app.domain.roles import Actor, Caller, Permission
from app.errors import Problem
from app.queries import upcoming
from app.queries.next_study import next_after
from app.queries.upcoming import StoredPicture
from app.records.engine import transaction
from app.web.parts import Parts

_FIRST = 0.3
"""Seconds after the page: its own pictures are asked for first."""
_log = structlog.get_logger(__name__)


def is_ahead(request: Request, caller: Caller) -> bool:
    """True where a browser asks for what its reader may open later. A key asks for what it gets."""
    return caller.actor.kind == "user" and "prefetch" in request.headers.get("sec-purpose", "")


class Ahead:
    """Decodes pictures nobody waits for, one at a time, and only while no reader waits for one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, study_id: UUID, *, reader: Actor, parts: Parts) -> BackgroundTask | None:
        """For the response that shows a reader the study: once it is sent, what they open next is decoded.

        The request ends before that. What was to be decoded after the reader's last page is let go. None for
        somebody who signs nothing, and so goes nowhere by signing.
        """
        if not reader.may(Permission.REVIEW):
            return None

        async def begin() -> None:
            if (older := self._tasks.get(reader.name)) is not None:
                older.cancel()
            self._tasks[reader.name] = asyncio.create_task(self._decode(parts, study_id, reader.name))

        return BackgroundTask(begin)

    def stop(self) -> None:
        """Nothing more is begun; what is being decoded ends by itself."""
        for task in self._tasks.values():
            task.cancel()

    async def _decode(self, parts: Parts, study_id: UUID, reader: str) -> None:
        await asyncio.sleep(_FIRST)
        async with self._turn:
            try:
                for picture in await run_in_threadpool(_after, study_id, reader):
                    while parts.pictures.busy:
                        await asyncio.sleep(0.05)
                    await parts.pixels(picture.sha256, picture.media_type)
            except Problem as problem:  # whoever opens the study is told
                _log.info("not_decoded_ahead", problem=type(problem).__name__)


def _after(study_id: UUID, reader: str) -> tuple[StoredPicture, ...]:
    with transaction() as session:
        following = next_after(session, study_id=study_id, reader=reader)
        return upcoming.pictures_of(session, study_id=following)
