"""What happens to studies, as it happens: one connection that listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from psycopg import AsyncConnection, OperationalError, sql
from sqlalchemy import make_url

from app.commands.ranking import EVENTS_CHANNEL
from app.settings import settings

_LONGEST_PAUSE = 10.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StudyChanged:
    """A study came, or has another state or another reading."""

    study_id: str
    state: str


@dataclass(frozen=True)
class Gap:
    """Changes may have been missed: the connection is new."""


async def changes() -> AsyncIterator[StudyChanged | Gap]:
    """Every change from now on, in the order of the commits; endless, connecting again whenever it must."""
    pause = 0.1
    while True:
        try:
            connection = await AsyncConnection.connect(_address(), autocommit=True, connect_timeout=5)
            async with connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(EVENTS_CHANNEL)))
                pause = 0.1
                yield Gap()
                async for notice in connection.notifies():
                    study_id, _, state = notice.payload.partition(" ")
                    yield StudyChanged(study_id, state)
        except (OperationalError, OSError) as error:
            _log.warning("listener_lost", error=type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _address() -> str:
    url = make_url(settings().resolved_database_url).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
