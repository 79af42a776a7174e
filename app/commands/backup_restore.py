"""A backup brought back into an empty place: checked before the database is touched, and again at the end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, delete, inspect, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.commands.backup import Report, each_blob, sha256_of
from app.commands.backup_contents import blobs_named, is_empty, rows_of_tables
from app.commands.backup_files import sync_folder
from app.commands.backup_folder import BackupFolder, Manifest
from app.commands.backup_programs import Programs
from app.commands.backup_refusal import NOTE, BackupRefused, Damaged
from app.domain.roles import Actor
from app.records import Session as SignedIn
from app.records import SiteChoice
from app.records.base import now

_ANY_SIZE = 2**62
_TOLD = 10
_DELETING = "restore_deletes_again"
"""The site's choice that is there from the first deletion that is done again to the restore's end."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What came back."""

    name: str
    rows: int
    blobs: int
    lacking: int
    """Blobs that the site no longer had when the backup was made."""
    damaged: list[str]
    """Sentences: blobs that the backup no longer has."""


def chosen(source: Path, *, passphrase: str | None, known: Collection[str]) -> tuple[BackupFolder, Manifest]:
    """The newest backup in the folder `source`, or the one that `source` is.

    Raises BackupRefused where there is none, and where its schema is not among the `known` revisions.
    """
    one = (source / "manifest").exists()
    folder = BackupFolder.at(source.parent if one else source, passphrase=passphrase)
    names = folder.names()
    name = source.name if one else names[-1] if names else None
    if name not in names or name is None:
        raise BackupRefused(f"There is no whole backup in {source}.")
    manifest = folder.manifest(name)
    if manifest.revision not in known:
        raise BackupRefused(
            f"The backup {name} was made by a newer version of FirstRead ({manifest.program}, schema "
            f"{manifest.revision}) than this one; restore it with that version."
        )
    return folder, manifest


def check(folder: BackupFolder, manifest: Manifest, *, report: Report) -> None:
    """Every byte of the backup is what was written; raises Damaged with what is not."""
    report("database", 0, 1)
    folder.check_database(manifest)
    report("database", 1, 1)

    def compare(sha256: str) -> None:
        found = hashlib.sha256()
        with folder.blob(sha256) as chunks:
            for chunk in chunks:
                found.update(chunk)
        if found.hexdigest() != sha256:
            raise _is_other(sha256)

    _refuse(manifest, each_blob(folder.digests(manifest), compare, report))


def restore(
    folder: BackupFolder,
    manifest: Manifest,
    *,
    engine: Engine,
    programs: Programs,
    blob_folder: Path,
    migrate: Callable[[], None],
    by: Actor,
    report: Report,
    without_damaged: bool = False,
    delete_again: Callable[[], None] | None = None,
) -> Restored:
    """Database and stored bytes are those of the backup, brought to this version's schema by `migrate`.

    A damaged blob is left out, and told, where it may be done `without_damaged` ones. Raises
    BackupRefused where the place is not empty or the backup is damaged. From the first byte to the end
    a note in `blob_folder` keeps every part of the service from starting; an interrupted restore goes on
    where the database is empty or holds just the rows of the backup.

    `delete_again` is called before that note goes: where it fails or is killed no part of the service starts,
    and the restore that goes on calls it again.
    """
    with engine.connect() as connection:
        loaded = not is_empty(connection)
    if loaded and not (blob_folder / NOTE).exists():
        raise BackupRefused("The database is not empty; a backup is restored into an empty one only.")
    deleting = loaded and _is_deleting(engine, manifest)
    if deleting and delete_again is None:
        raise BackupRefused(
            "The restore was interrupted while it deleted again what was deleted after the backup; name the "
            "same file with --without-deleted."
        )
    note = _noted(blob_folder, manifest)
    report("database", 0, 2)
    folder.check_database(manifest)
    report("database", 1, 2)
    digests = folder.digests(manifest)
    if deleting:  # bytes that were deleted again do not come back
        with engine.connect() as connection:
            still = blobs_named(connection)
        digests = [digest for digest in digests if digest in still]
    damaged = _restore_blobs(folder, digests, Blobs(blob_folder), report)
    if not without_damaged:
        _refuse(manifest, damaged)
    if not deleting:
        _load(folder, manifest, engine=engine, programs=programs, loaded=loaded)
    with engine.begin() as connection:  # whoever was signed in then, or has that cookie, signs in anew
        connection.execute(update(SignedIn).where(SignedIn.ended_at.is_(None)).values(ended_at=now()))
    migrate()
    if not deleting:
        _check_named(manifest, digests, engine=engine)
    if delete_again is not None:
        _mark_deleting(engine, manifest, by=by)
        delete_again()
    with Session(engine) as session, session.begin():
        session.execute(delete(SiteChoice).where(SiteChoice.name == _DELETING))
        audit.record(
            session, action="site.restored", by=by, backup=manifest.name, images_damaged=len(damaged)
        )
    note.unlink()
    sync_folder(blob_folder)
    report("database", 2, 2)
    return Restored(
        name=manifest.name,
        rows=sum(manifest.rows.values()),
        blobs=len(digests) - len(damaged),
        lacking=len(manifest.lacking),
        damaged=list(damaged.values()),
    )


def _load(
    folder: BackupFolder, manifest: Manifest, *, engine: Engine, programs: Programs, loaded: bool
) -> None:
    """The database holds the rows of the backup."""
    if not loaded:
        with folder.database(manifest) as dump:
            programs.load(dump)
    with engine.connect() as connection:
        rows = rows_of_tables(connection)
    if rows != manifest.rows:
        if loaded:  # of a restore that was interrupted after the migrations, or of something else
            raise BackupRefused(
                "The database is not empty, and its rows are not those of the backup; empty it and the "
                "folder of blobs, and restore again."
            )
        raise Damaged(f"The database does not hold the rows of the backup {manifest.name}; use neither.")


def _check_named(manifest: Manifest, digests: list[bytes], *, engine: Engine) -> None:
    with engine.connect() as connection:
        named = blobs_named(connection)
    if not named <= set(digests) | {bytes.fromhex(sha256) for sha256 in manifest.lacking}:
        raise Damaged(f"Rows of the backup {manifest.name} name images that it does not have; use neither.")


def _is_deleting(engine: Engine, manifest: Manifest) -> bool:
    """True of a database that a restore of the same backup has made whole, and was deleting again in."""
    if not inspect(engine).has_table(SiteChoice.__tablename__):
        return False
    with Session(engine) as session:
        mark = session.get(SiteChoice, _DELETING)
        return mark is not None and mark.value == manifest.name


def _mark_deleting(engine: Engine, manifest: Manifest, *, by: Actor) -> None:
    with Session(engine) as session, session.begin():
        session.merge(SiteChoice(name=_DELETING, value=manifest.name, chosen_by_name=by.name))


def _noted(blob_folder: Path, manifest: Manifest) -> Path:
    """The blob folder is empty, or what an interrupted restore of the same backup left of it."""
    note = blob_folder / NOTE
    new = blob_folder / f"{NOTE}.new"
    new.unlink(missing_ok=True)
    if not note.exists():
        if any(path.is_file() for path in blob_folder.rglob("*")):
            raise BackupRefused(
                f"{blob_folder} holds images already; a backup is restored into an empty place only."
            )
    elif note.read_text() != manifest.name:
        raise BackupRefused(
            f"{blob_folder} holds a part of another backup, whose restore was interrupted; empty it first."
        )
    blob_folder.mkdir(parents=True, exist_ok=True)
    with new.open("w") as stream:
        stream.write(manifest.name)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(note)  # never there and empty
    sync_folder(blob_folder)
    return note


def _restore_blobs(
    folder: BackupFolder, digests: list[bytes], blobs: Blobs, report: Report
) -> dict[bytes, str]:
    """The blobs are kept, each compared with its digest; returns the damaged ones, with the sentence."""

    def bring(sha256: str) -> None:
        if blobs.has(sha256):  # of a restore that was interrupted
            if sha256_of(blobs.path(sha256)) == sha256:
                return
            blobs.path(sha256).unlink()
        with folder.blob(sha256) as chunks, blobs.stage(max_bytes=_ANY_SIZE) as staged:
            for chunk in chunks:
                staged.write(chunk)
            if staged.sha256 != sha256:
                raise _is_other(sha256)
            blobs.keep(staged)

    return each_blob(digests, bring, report)


def _is_other(sha256: str) -> Damaged:
    return Damaged(f"The blob {sha256[:12]} in the backup is not what was stored.")


def _refuse(manifest: Manifest, damaged: dict[bytes, str]) -> None:
    if damaged:
        told = " ".join(list(damaged.values())[:_TOLD])
        more = f" So are {len(damaged) - _TOLD:,} more." if len(damaged) > _TOLD else ""
        raise Damaged(
            f"The backup {manifest.name} is damaged: {told}{more} `firstread backup --verify` copies anew "
            "what the site still has; `firstread restore --without-damaged` restores the others."
        )
