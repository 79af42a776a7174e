"""`firstread restore`: a backup brought back into an empty place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.commands.backup_folder import BackupFolder, Manifest
    from app.commands.deletion_again import Proof


def restore(
    source: Annotated[
        Path, typer.Argument(help="Folder of backups, of which the newest is taken, or one backup in it.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Only read all of the backup and tell whether it is whole.")
    ] = False,
    without_damaged: Annotated[
        bool,
        typer.Option("--without-damaged", help="Restore the rest where images are damaged in the backup."),
    ] = False,
    without_deleted: Annotated[
        Path | None,
        typer.Option(help="Delete again what `firstread patient deleted` told before: a file of it."),
    ] = None,
) -> None:
    """Bring a backup back into an empty FIRSTREAD_HOME, or into the empty database and blob folder that are
    configured, while no service runs there. Every hash is compared before it says that it is done.
    Exit code 0: all of it; 3: without what is damaged, as told; 1: nothing was restored.
    """
    from app.cli.backup import passphrase_of, progress
    from app.cli.patients import proofs_in
    from app.commands.backup_refusal import BackupRefused
    from app.commands.backup_restore import check as run_check
    from app.commands.backup_restore import chosen
    from app.settings import settings
    from migrations import revisions

    configured = settings()
    try:
        folder, manifest = chosen(source.absolute(), passphrase=passphrase_of(configured), known=revisions())
        if check:
            with progress() as report:
                run_check(folder, manifest, report=report)
            print(f"{folder.path / manifest.name} is whole: every byte is what was written.")
            return
        with _database(configured) as url:
            proofs = [] if without_deleted is None else proofs_in(without_deleted)
            code = _run(
                folder,
                manifest,
                url=url,
                configured=configured,
                without_damaged=without_damaged,
                delete_again=(lambda: _delete_again(proofs, url=url, configured=configured))
                if proofs
                else None,
            )
    except OSError as error:
        at = f" ({error.filename})" if error.filename else ""
        raise BackupRefused(f"The backup was not restored: {error.strerror or error}{at}.") from error
    sys.exit(code)


def _delete_again(proofs: list[Proof], *, url: str, configured: Settings) -> None:
    from app.blobs import Blobs
    from app.cli.patients import forget_bytes, told_of
    from app.cli.running import at_the_terminal
    from app.commands.backup_refusal import BackupRefused
    from app.commands.deletion_again import again, remove_at_once
    from app.records.engine import forget_engine
    from app.settings import settings

    blobs = Blobs(configured.blob_folder)
    forget_engine()
    settings().database_url = url  # of the server that runs for just as long as this command
    try:
        done = again(proofs, blobs, by=at_the_terminal(), held_too=True)
        remove_at_once(blobs)
    finally:
        forget_engine()
    if done.refused:
        raise BackupRefused(f"Not all was deleted again; restore once more. {' '.join(done.refused)}")
    print(told_of(proofs, done))
    forget_bytes(0, features=True)


@contextmanager
def _database(configured: Settings) -> Iterator[str]:
    """Its address: as configured, or of an embedded server that runs for just that long."""
    if configured.database_url is not None:
        yield configured.database_url
        return
    from app.embedded.home import Home
    from app.embedded.postgres import EmbeddedPostgres

    home = Home(configured.home)
    home.open()
    try:
        with EmbeddedPostgres(home.postgres, log=home.log("postgres")) as server:
            yield server.url
    finally:
        home.close()


def _run(
    folder: BackupFolder,
    manifest: Manifest,
    *,
    url: str,
    configured: Settings,
    without_damaged: bool,
    delete_again: Callable[[], None] | None,
) -> int:
    from app.cli.backup import INCOMPLETE, TOLD, programs_folder, progress
    from app.cli.running import at_the_terminal
    from app.commands.backup_programs import Programs
    from app.commands.backup_restore import restore as run
    from app.records.engine import build_engine
    from migrations import newest_revision, upgrade

    engine = build_engine(url)
    try:
        with progress() as report:
            done = run(
                folder,
                manifest,
                engine=engine,
                programs=Programs(programs_folder(configured), url=url),
                blob_folder=configured.blob_folder,
                migrate=lambda: upgrade(url),
                by=at_the_terminal(),
                report=report,
                without_damaged=without_damaged,
                delete_again=delete_again,
            )
    finally:
        engine.dispose()
    print(f"{done.name} was restored and every hash compared: {done.rows:,} rows, {done.blobs:,} blobs.")
    if manifest.revision != newest_revision():
        print(f"The database was brought from schema {manifest.revision} to {newest_revision()}.")
    if done.lacking:
        print(f"{done.lacking:,} blobs are not in it: the site no longer had them when it was made.")
    print("Whoever was signed in signs in again; keys and accounts are as they were then.")
    if not done.damaged:
        return 0
    print(f"{len(done.damaged):,} blobs are damaged in the backup and were not restored.", file=sys.stderr)
    for sentence in done.damaged[:TOLD]:
        print(sentence, file=sys.stderr)
    return INCOMPLETE
