"""Alembic revisions, and the one way to bring a database to the newest."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


class DatabaseBusy(Exception):
    """Somebody held a table for too long, and nothing was changed; `str(error)` is a sentence."""


def configuration(url: str) -> Config:
    """Alembic's configuration for this database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """The database at `url` has the schema of `revision`."""
    command.upgrade(configuration(url), revision)


def downgrade(url: str, revision: str) -> None:
    """The database at `url` is back at `revision`."""
    command.downgrade(configuration(url), revision)


@lru_cache(maxsize=1)
def revisions() -> tuple[str, ...]:
    """The revisions this version knows, the oldest first; they are read once, which takes a while."""
    script = ScriptDirectory.from_config(configuration(""))
    return tuple(each.revision for each in script.walk_revisions())[::-1]


def newest_revision() -> str:
    """The revision a current database has."""
    return revisions()[-1]
