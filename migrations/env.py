"""Runs the revisions in one transaction, with a lock timeout: a busy table refuses all of them at once, and
nobody queues behind an upgrade that queues.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.records import Base
from app.settings import settings
from migrations import DatabaseBusy

_ADVISORY_LOCK = 0x46525354  # "FRST": two processes that migrate at once take turns
_LOCK_TIMEOUT = "5s"
"""While an upgrade waits for a table, whoever asks for that table after it waits too."""
_LOCK_NOT_AVAILABLE = "55P03"


def run() -> None:
    """Migrates the database of the configuration, or the site's when alembic was called by hand.

    Raises DatabaseBusy where a table is held for longer than the lock timeout; nothing is changed then.
    """
    attributes = context.config.attributes
    engine = create_engine(attributes.get("url") or settings().resolved_database_url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        timeout = {"timeout": attributes.get("lock_timeout", _LOCK_TIMEOUT)}
        connection.execute(text("SELECT set_config('lock_timeout', :timeout, false)"), timeout)
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        try:
            with context.begin_transaction():
                context.run_migrations()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseBusy(
                "The database was not migrated and nothing was changed: another connection holds a table "
                f"that the upgrade must change, and did not let go of it within {timeout['timeout']}. Stop "
                "the other parts of the service, let a backup end, and try again."
            ) from error


run()
