"""The engine: what a connection that was closed, or a statement that fails, costs the next one."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.embedded.postgres import EmbeddedPostgres
from app.errors import Unavailable
from app.records.engine import driver_of, forget_engine, single_statements, transaction
from app.settings import settings


def _close_the_others() -> None:
    """As a PostgreSQL that is restarted does it."""
    url = settings().resolved_database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_connections_closed_while_they_rest_are_no_error(database: str) -> None:
    with transaction() as session, transaction() as other:
        session.execute(text("SELECT 1"))
        other.execute(text("SELECT 1"))
    _close_the_others()
    with transaction() as session, single_statements() as connection:
        assert session.scalar(text("SELECT 1")) == 1
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_closed_in_use_is_unavailable_and_the_next_one_works(database: str) -> None:
    with pytest.raises(Unavailable), transaction() as session:
        driver = driver_of(session)
        driver.execute("SELECT 1")
        _close_the_others()
        driver.execute("SELECT 1")
    with pytest.raises(Unavailable), single_statements() as connection:
        connection.execute("SELECT 1")
        _close_the_others()
        connection.execute("SELECT 1")
    with single_statements() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_database_that_is_not_there_is_unavailable(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", "postgresql+psycopg://app@/none?host=/nonexistent")
    settings.cache_clear()
    forget_engine()
    with pytest.raises(Unavailable), transaction() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(Unavailable), single_statements():
        pass
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", database)


def test_a_database_without_tables_is_unavailable_and_a_wrong_statement_is_not(
    postgres: EmbeddedPostgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", postgres.url_of("postgres"))
    settings.cache_clear()
    forget_engine()
    with pytest.raises(Unavailable, match="firstread prepare"), transaction() as session:
        session.execute(text("SELECT 1 FROM studies"))
    with pytest.raises(Unavailable, match="firstread prepare"), single_statements() as connection:
        connection.execute("SELECT 1 FROM studies")
    with pytest.raises(ProgrammingError), transaction() as session:
        session.execute(text("SELECT nothing"))
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", database)


def test_single_statements_leave_the_connection_as_they_found_it(database: str) -> None:
    with single_statements() as connection:
        connection.execute("CREATE TABLE kept (one int)")
    with pytest.raises(ZeroDivisionError), transaction() as session:
        driver_of(session).execute("INSERT INTO kept VALUES (1)")
        raise ZeroDivisionError
    with single_statements() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
