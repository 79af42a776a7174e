"""The migrations and the records say the same, and the way back is open."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from app.records import Base
from migrations import downgrade, newest_revision, upgrade


def test_a_migrated_database_is_what_the_records_describe(database: str) -> None:
    with create_engine(database, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert context.get_current_revision() == newest_revision()
        assert compare_metadata(context, Base.metadata) == []


def test_every_migration_can_be_undone_and_done_again(database: str) -> None:
    downgrade(database, "base")
    engine = create_engine(database, poolclass=NullPool)
    assert inspect(engine).get_table_names() in ([], ["alembic_version"])
    upgrade(database)
    assert "studies" in inspect(engine).get_table_names()
