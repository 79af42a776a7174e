"""One engine per process and the transaction that every request and task is."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import (
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from app.errors import Unavailable
from app.settings import settings

POOL, OVERFLOW = 10, 20
"""Connections a process keeps, and further ones while it is busy."""
_RESTED_SECONDS = 10.0
"""A connection that rested longer is asked whether it lives."""
_SILENT = (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


def build_engine(url: str, *, pool_size: int = POOL) -> Engine:
    """An engine that checks its connections before use, so that a restarted PostgreSQL is no error."""
    made = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=OVERFLOW,
        pool_timeout=10,
        hide_parameters=True,  # they are patient data, and errors are logged
        connect_args={"connect_timeout": 5, "application_name": "firstread"},
    )
    event.listen(made, "checkin", _note_rest)
    event.listen(made, "checkout", _check)
    return made


def _note_rest(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["rests_since"] = time.monotonic()


def _check(connection: psycopg.Connection[Any], entry: ConnectionPoolEntry, _use: object) -> None:
    """Asks a connection whether it lives where that is in doubt, which spares the others a round trip.

    A server that ends, ends its connections first, and says so: there is something to read.
    """
    rests_since = entry.info.get("rests_since")
    if rests_since is None:  # it was made this instant
        return
    try:
        if time.monotonic() - rests_since < _RESTED_SECONDS and not _has_news(connection.fileno()):
            return
        connection.execute("SELECT")
        connection.rollback()
    except (psycopg.Error, OSError) as error:
        raise InvalidatePoolError("The connection was closed while it rested.") from error


def _has_news(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The process's engine."""
    return build_engine(settings().resolved_database_url)


def connections_in_use() -> int:
    """How many connections of this process somebody holds just now; 0 where it never needed one."""
    if not engine.cache_info().currsize:
        return 0
    pool = engine().pool
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


@lru_cache(maxsize=1)
def _sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """A session that commits when the block ends and rolls back when it raises.

    A database that does not answer, takes no changes (a replica before its promotion) or has no tables yet
    becomes `Unavailable`, which a caller may try again.
    """
    with _or_unavailable(), _sessions().begin() as session:
        yield session


@contextmanager
def single_statements() -> Iterator[psycopg.Connection[Any]]:
    """A connection on which each statement is a transaction of its own; for what every request asks.

    It saves two round trips, and most of the processor time that SQLAlchemy takes. Raises as `transaction`.
    """
    with _or_unavailable():
        lent = engine().raw_connection()
        try:
            driver = _driver(lent)
            driver.autocommit = True
            yield driver
            driver.autocommit = False
        except BaseException:
            lent.invalidate()
            raise
        finally:
            lent.close()


def driver_of(session: Session) -> psycopg.Connection[Any]:
    """psycopg's connection in the session's transaction, for the few statements that every image costs.

    What the session has not flushed is not seen there.
    """
    return _driver(session.connection().connection)


def _driver(lent: PoolProxiedConnection) -> psycopg.Connection[Any]:
    driver = lent.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


@contextmanager
def _or_unavailable() -> Iterator[None]:
    try:
        yield
    except _SILENT as error:
        raise Unavailable(
            "The database does not answer at the moment; nothing was changed. Try again."
        ) from error
    except (InternalError, psycopg.errors.ReadOnlySqlTransaction) as error:
        if not isinstance(getattr(error, "orig", error), psycopg.errors.ReadOnlySqlTransaction):
            raise
        raise Unavailable("The database takes no changes at the moment. Try again later.") from error
    except (ProgrammingError, psycopg.errors.UndefinedTable) as error:
        if not isinstance(getattr(error, "orig", error), psycopg.errors.UndefinedTable):
            raise
        raise Unavailable("The database is not prepared yet; run `firstread prepare` first.") from error


def forget_engine() -> None:
    """Closes the process's connections; the next transaction opens new ones from the settings then."""
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    _sessions.cache_clear()
