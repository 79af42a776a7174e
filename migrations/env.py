"""Runs the revisions, one transaction each; with a lock timeout, so that a busy table refuses, not hangs."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.records import Base
from app.settings import settings

_ADVISORY_LOCK = 0x46525354  # "FRST": two processes that migrate at once take turns


def run() -> None:
    """Migrates the database of the configuration, or the site's when alembic was called by hand."""
    url = context.config.attributes.get("url") or settings().resolved_database_url
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.execute(text("SET lock_timeout = '30s'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
