"""One engine per process and the transaction that every request and task is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from app.errors import Unavailable
from app.settings import settings


def build_engine(url: str, *, pool_size: int = 10) -> Engine:
    """An engine that checks its connections before use, so that a restarted PostgreSQL is no error."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=20,
        pool_pre_ping=True,
        pool_timeout=10,
        hide_parameters=True,  # they are patient data, and errors are logged
        connect_args={"connect_timeout": 5, "application_name": "firstread"},
    )


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The process's engine."""
    return build_engine(settings().resolved_database_url)


@lru_cache(maxsize=1)
def _sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """A session that commits when the block ends and rolls back when it raises.

    A database that does not answer becomes `Unavailable`, which a caller may try again.
    """
    try:
        with _sessions().begin() as session:
            yield session
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise Unavailable(
            "The database does not answer at the moment; nothing was changed. Try again."
        ) from error


def forget_engine() -> None:
    """Closes the process's connections; the next transaction opens new ones from the settings then."""
    if engine.cache_info().currsize:
        engine().dispose()
    engine.cache_clear()
    _sessions.cache_clear()
