"""Makes a database ready for this version, and an empty service ready for its first user."""

from __future__ import annotations

import json

from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

import migrations
from app.commands.backup_refusal import refuse_half_restored
from app.embedded.refusal import CannotStart
from app.queries import people
from app.records.engine import engine, transaction
from app.settings import Settings, settings


def migrate() -> None:
    """The database has this version's schema. Two processes that migrate at once take turns.

    Raises CannotStart when the database was made by a newer version, or somebody holds a table of it, and
    BackupRefused while a restore has not ended.
    """
    refuse_half_restored(settings().blob_folder)
    try:
        migrations.upgrade(settings().resolved_database_url)
    except migrations.DatabaseBusy as error:
        raise CannotStart(str(error)) from error
    except CommandError as error:
        if "locate revision" not in str(error):
            raise
        raise CannotStart(
            "The database was made by a newer version of FirstRead than this one; start the newer version, "
            "or restore a backup made before the upgrade."
        ) from error


def schema_state() -> tuple[str | None, str]:
    """The revision the database has, and the one this version needs."""
    with engine().connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present, migrations.newest_revision()


def prepare(*, as_json: bool) -> None:
    """The schema is there, and so is at least one user; prints what was made the first time.

    With `as_json` one object: `one_time_password` (null when there is none to tell) and `samples` (how many
    studies were loaded).
    """
    migrate()
    configured = settings()
    with transaction() as session:
        first = not people.users(session)
    # the administrator last: whatever fails before, the next start is a first one again
    samples = _load_samples(configured) if first and configured.samples else 0
    one_time = _create_first_administrator(configured) if first else None
    if as_json:
        print(json.dumps({"one_time_password": one_time, "samples": samples}), flush=True)
        return
    print("The database is ready.")
    if one_time is not None:
        print(f"First sign-in: user admin, one-time password {one_time} (shown only now).")
    if samples:
        print(f"{samples} sample studies were loaded; they are generated phantoms, not patients.")


def _create_first_administrator(configured: Settings) -> str | None:
    from app.commands import people as commands  # costs a start that needs none of it half a second

    given = configured.admin_password
    with transaction() as session:
        return commands.create_first_administrator(
            session, password=given.get_secret_value() or None if given is not None else None
        )


def _load_samples(configured: Settings) -> int:
    from app import queue
    from app.cli.samples import admit_samples

    queue.configure(configured)
    return admit_samples(configured)
