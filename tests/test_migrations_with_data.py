"""Every migration, run on a database with rows in every table: nothing is lost, and a busy table refuses."""

from __future__ import annotations

import re
from itertools import count, pairwise

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import migrations
from app.cli.prepare import migrate
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.refusal import CannotStart
from app.records import Base
from migrations import DatabaseBusy, configuration, downgrade, revisions, upgrade
from tests.rows import Contents, contents, fill

ALL = revisions()
_DROPPED = {("images", "pixel_sha256")}
"""Columns that a migration takes away on purpose."""
_SAID_OTHERWISE = {("identity_conflicts", "kind")}
"""Columns that a downgrade must say in the words of then."""
_HAPPENED = {
    "0013": ["UPDATE reviews SET blind = true"],
    "0015": ["UPDATE reviews SET marks = '[{}]'"],
}
"""What is not in every row, and nothing before those revisions could hold."""
_FORGETS = {
    "0013": ["UPDATE reviews SET blind = false"],
    "0014": ["DELETE FROM second_opinions"],
    "0015": ["UPDATE reviews SET marks = '[]'"],
    "0016": ["DELETE FROM adjudications"],
    "0018": ["DELETE FROM dataset_files", "DELETE FROM datasets"],
    "0019": [
        f"DELETE FROM {table}"
        for table in ("snapshots", "test_patients", "evaluations", "proposals", "shadow_readings")
    ],
    "0020": ["DELETE FROM audit_seals"],
}
"""Revisions whose rows nothing before them could hold, so that their way back is refused; and what takes them
away, after which it is open.
"""
_REFUSED = {"0012", "0021", "0022", *_FORGETS}
"""Revisions that are not undone where they have rows."""
_TOUCHES_NOTHING = {"0001", "0018", "0020"}
"""Revisions that only make tables, which refer to none that was there."""
_numbers = count(1)


class Filled:
    """Databases with rows in every table: some were made at the revision, some at each revision before.

    They end with the server: to drop one costs more than all that is done with it.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self.contents: dict[str, Contents] = {}
        _administer(server, "CREATE DATABASE rows_now TEMPLATE template0")
        for number, revision in enumerate(ALL):
            upgrade(server.url_of("rows_now"), revision)
            with create_engine(server.url_of("rows_now"), poolclass=NullPool).begin() as connection:
                fill(connection, seed=number)
                self.contents[revision] = contents(connection)
            _administer(server, f"CREATE DATABASE rows_{revision} TEMPLATE rows_now")

    def at(self, revision: str) -> str:
        """The URL of the database at the revision, which nobody may change."""
        return self._server.url_of(f"rows_{revision}")

    def copy(self, revision: str) -> str:
        """The URL of one more database at the revision."""
        name = f"rows_copy_{next(_numbers)}"
        _administer(self._server, f"CREATE DATABASE {name} TEMPLATE rows_{revision}")
        return self._server.url_of(name)


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres) -> Filled:
    """A database at each revision."""
    return Filled(postgres)


@pytest.mark.parametrize("revision", ALL)
def test_rows_of_a_revision_are_there_after_the_upgrade_and_the_records_read_them(
    revision: str, filled: Filled
) -> None:
    url, before = filled.copy(revision), filled.contents[revision]
    upgrade(url)
    after = _contents(url)
    _same(before, after, gone=_DROPPED)
    with Session(create_engine(url, poolclass=NullPool)) as session:
        for mapper in Base.registry.mappers:
            read = session.scalars(select(mapper.class_)).all()
            assert len(read) == len(after[str(mapper.local_table)])


@pytest.mark.parametrize(("older", "revision"), [("base", ALL[0]), *pairwise(ALL)])
def test_a_migration_is_undone_and_done_again_with_rows_in_every_table_or_says_why_not(
    older: str, revision: str, filled: Filled
) -> None:
    url, before = filled.copy(revision), filled.contents[revision]
    if revision in _HAPPENED:
        _by_force(url, _HAPPENED[revision])
        before = _contents(url)
    if revision in _REFUSED:
        with pytest.raises(RuntimeError) as refusal:
            downgrade(url, older)
        assert re.fullmatch(r"[A-Z].*\.", str(refusal.value)), "no sentence"
        assert _contents(url) == before
        if revision not in _FORGETS:
            return
        _by_force(url, _FORGETS[revision])
        before = _contents(url)
    downgrade(url, older)
    undone = _contents(url)
    there = {table: rows for table, rows in before.items() if table in undone}
    kept = {(table, column) for table in there for row in undone[table].values() for column in row}
    _same(undone, there, gone=_DROPPED, otherwise=_SAID_OTHERWISE)
    upgrade(url, revision)
    again = _contents(url)
    assert again.keys() == before.keys()
    for table in there:
        assert again[table].keys() == before[table].keys()
        for key, row in before[table].items():
            for column, value in row.items():
                if (table, column) in kept - _SAID_OTHERWISE:
                    assert again[table][key][column] == value


@pytest.mark.parametrize(("older", "revision"), list(pairwise(ALL)))
def test_a_migration_gives_up_where_tables_are_held_and_changes_nothing(
    older: str, revision: str, filled: Filled
) -> None:
    url = filled.copy(older) if revision in _TOUCHES_NOTHING else filled.at(older)
    before = filled.contents[older]
    tables = ", ".join(before)
    holder = create_engine(url, poolclass=NullPool)
    with holder.connect() as held:
        held.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
        if revision in _TOUCHES_NOTHING:
            _upgrade_impatiently(url, revision)
            return
        with pytest.raises(
            DatabaseBusy, match=r"^The database was not migrated and nothing was changed: .*\.$"
        ):
            _upgrade_impatiently(url, revision)
    assert _contents(url) == before


def test_an_upgrade_gives_up_as_a_whole_where_its_last_step_finds_a_reader(
    filled: Filled,
) -> None:
    url = filled.copy("0008")
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as reader, engine.connect() as other:
        reader.execute(text("SELECT count(*) FROM studies"))
        with pytest.raises(DatabaseBusy):
            _upgrade_impatiently(url, "0010")
        assert not inspect(other).has_table("occlusion_maps"), (
            "0009 was done, and the program of then is lost"
        )
        other.execute(text("SET lock_timeout = '1ms'"))
        assert other.execute(text("SELECT count(*) FROM studies")).scalar_one(), "it queues behind"


def test_the_command_says_in_a_sentence_that_the_database_is_busy(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    downgrade(database, "0010")
    monkeypatch.setattr(migrations, "configuration", _impatient)
    with create_engine(database, poolclass=NullPool).connect() as reader:
        reader.execute(text("SELECT count(*) FROM users"))
        with pytest.raises(CannotStart, match=r"within 50ms\. Stop the other parts of the service"):
            migrate()


def _by_force(url: str, statements: list[str]) -> None:
    """What the service itself never does."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))  # no triggers
        for statement in statements:
            connection.execute(text(statement))


def _impatient(url: str) -> Config:
    made = configuration(url)
    made.attributes["lock_timeout"] = "50ms"
    return made


def _upgrade_impatiently(url: str, revision: str) -> None:
    command.upgrade(_impatient(url), revision)


def _same(
    old: Contents,
    new: Contents,
    *,
    gone: set[tuple[str, str]],
    otherwise: frozenset[tuple[str, str]] | set[tuple[str, str]] = frozenset(),
) -> None:
    """The rows of `old` are in `new`, and say the same in every column but those."""
    for table, rows in old.items():
        for key, row in rows.items():
            now = new[table][key]
            lost = {(table, column) for column in row if column not in now}
            assert lost <= gone
            for column in row.keys() & now.keys():
                if (table, column) not in otherwise:
                    assert now[column] == row[column], f"{table}.{column}"


def _contents(url: str) -> Contents:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return contents(connection)


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    engine = create_engine(server.url_of("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
