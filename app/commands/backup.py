"""A backup while the service runs: the database as of one instant, and the stored bytes its rows name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.commands.backup_contents import blobs_named, revision_of, rows_of_tables, still_named
from app.commands.backup_folder import BackupFolder, Manifest
from app.commands.backup_programs import Programs
from app.commands.backup_refusal import BackupRefused, Damaged
from app.domain.roles import Actor
from app.errors import NotFound

_log = structlog.get_logger(__name__)

Report = Callable[[str, int, int], None]
"""Told of the stage, how much of it is done, and how much there is."""
_AT_ONCE = 256
_THREADS = 4
"""Each waits for the disk most of the time."""


@dataclass(frozen=True, kw_only=True)
class BackedUp:
    """A backup that is whole."""

    name: str
    rows: int
    blobs: int
    copied: int
    """Of the blobs; the others were in the folder."""
    deleted_meanwhile: int
    damaged: list[str]
    """Sentences: blobs that rows of the site name and that it no longer has as they were stored."""
    lacking: int
    """Of those; the others are of former backups, and in this one too."""
    all_stay: str | None
    """Why no blob of older backups could be removed, in a sentence."""


def back_up(
    *,
    into: BackupFolder,
    engine: Engine,
    programs: Programs,
    blobs: Blobs,
    program: str,
    known: Collection[str],
    by: Actor,
    keep: int,
    verify: bool,
    report: Report,
) -> BackedUp:
    """The folder has one more backup, and at most `keep`. Raises BackupRefused; the others stay then.

    With `verify` the blobs that were in the folder are read, and copied anew where they are damaged.
    `program` is the version of this one, which knows these revisions of the schema.
    """
    with into.held():
        name = _name(into)
        begin = partial(_recorded, engine, name, by)
        copy = _copy_database(into, engine, programs, known, report, begin=begin)
        copied, damaged = _copy_blobs(into, blobs, copy.named, verify, report)
        lacking = {digest for digest in damaged if not into.is_sound(digest.hex())}
        named = sorted(copy.named - lacking)
        manifest = Manifest(
            name=name,
            program=program,
            revision=copy.revision,
            rows=copy.rows,
            database_sha256=copy.sha256,
            blobs=len(named),
            blobs_sha256=into.write("blobs", named),
            lacking=sorted(digest.hex() for digest in lacking),
        )
        with engine.connect() as connection:  # what was deleted since the snapshot is nobody's loss
            lost = still_named(connection, set(damaged))
        into.finish(manifest)
        _recorded_as_whole(engine, name, by, lost=len(lost))
        all_stay = into.keep_only(keep)
    return BackedUp(
        name=name,
        rows=sum(copy.rows.values()),
        blobs=len(named),
        copied=copied,
        deleted_meanwhile=len(lacking - lost),
        lacking=len(lacking & lost),
        damaged=[damaged[digest] for digest in sorted(lost)],
        all_stay=all_stay,
    )


def _name(into: BackupFolder) -> str:
    """Of now, after all others: which are the newest is told by the names."""
    name, others = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}", into.names()
    if others and name <= others[-1]:
        raise BackupRefused(
            f"By the clock of this machine it is {name}, and there is a later backup, {others[-1]}. Set the "
            "clock right, or move that backup elsewhere."
        )
    return name


def _recorded(engine: Engine, name: str, by: Actor) -> None:
    """On record before a byte is copied: also what is stopped half-way has taken data out."""
    with Session(engine) as session, session.begin():
        audit.record(session, action="site.backed-up", by=by, backup=name)


def _recorded_as_whole(engine: Engine, name: str, by: Actor, *, lost: int) -> None:
    """What looks after the site knows of it; a database that went away meanwhile makes the backup no less
    whole.
    """
    try:
        with Session(engine) as session, session.begin():
            audit.record(session, action="site.backup-whole", by=by, backup=name, lost=lost)
    except SQLAlchemyError as error:
        _log.warning("backup_not_recorded", backup=name, error=type(error).__name__)


@dataclass(frozen=True, kw_only=True)
class _Copy:
    revision: str
    rows: dict[str, int]
    named: set[bytes]
    sha256: str


def _copy_database(
    into: BackupFolder,
    engine: Engine,
    programs: Programs,
    known: Collection[str],
    report: Report,
    *,
    begin: Callable[[], None],
) -> _Copy:
    """pg_dump, the counts and the names of blobs are of one snapshot, which lasts until pg_dump is done.

    `begin` is called once it is sure that this database can be backed up.
    """
    report("database", 0, 1)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        revision = revision_of(connection)
        if revision is None:
            raise BackupRefused("There is nothing to back up: the database has no tables of FirstRead yet.")
        if revision not in known:
            raise BackupRefused(
                "The database was migrated by a newer version of FirstRead than this one; back up with it."
            )
        begin()
        rows = rows_of_tables(connection)
        named = blobs_named(connection)
        sha256 = into.write("database", programs.dump(snapshot=snapshot))
    report("database", 1, 1)
    return _Copy(revision=revision, rows=rows, named=named, sha256=sha256)


def _copy_blobs(
    into: BackupFolder, blobs: Blobs, named: Iterable[bytes], verify: bool, report: Report
) -> tuple[int, dict[bytes, str]]:
    """How many were copied, and in a sentence each what the site does not have as it was stored."""
    copied: list[str] = []

    def keep(sha256: str) -> None:
        try:
            path = blobs.path(sha256)
        except NotFound as error:
            raise Damaged(error.detail) from None
        except OSError as error:
            raise Damaged(f"The stored bytes {sha256[:12]} cannot be read: {error.strerror}.") from error
        if into.keep_blob(sha256, path, verify=verify):
            copied.append(sha256)

    damaged = each_blob(sorted(named), keep, report)
    return len(copied), damaged


def each_blob(digests: list[bytes], do: Callable[[str], None], report: Report) -> dict[bytes, str]:
    """Does it with each, several at once; returns those for which it raised Damaged, with the sentence."""
    damaged: dict[bytes, str] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as threads:
        for start in range(0, len(digests), _AT_ONCE):
            some = digests[start : start + _AT_ONCE]
            for digest, future in [(digest, threads.submit(do, digest.hex())) for digest in some]:
                try:
                    future.result()
                except Damaged as error:
                    damaged[digest] = str(error)
            report("images", start + len(some), len(digests))
    return damaged


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
