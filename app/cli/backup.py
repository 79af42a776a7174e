"""`firstread backup`: a copy of everything while the service runs; made to be run by cron."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import Settings

if TYPE_CHECKING:
    from app.commands.backup import BackedUp

INCOMPLETE = 3
TOLD = 10


def backup(
    target: Annotated[
        Path, typer.Argument(help="Folder of the site's backups, on another disk; --new makes it.")
    ],
    new: Annotated[
        bool, typer.Option("--new", help="Begin a folder of backups; never by cron, see docs/backup.md.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read what the folder has of it, and copy anew what is damaged there."),
    ] = False,
    keep: Annotated[int, typer.Option(min=1, help="Backups to keep; older ones are removed.")] = 14,
) -> None:
    """Back up the database, the images and the networks while the service runs; what is in the folder already
    is not copied again. Encrypted where FIRSTREAD_BACKUP_PASSPHRASE_FILE is set. Exit code 0: a whole backup;
    3: a whole one, but the site has lost something or a former one is damaged, as told; 1: none, and the
    former ones are as they were.
    """
    sys.exit(_run(target=target.absolute(), new=new, verify=verify, keep=keep))


def _run(*, target: Path, new: bool, verify: bool, keep: int) -> int:
    from app.blobs import Blobs
    from app.cli.running import at_the_terminal, running_settings
    from app.commands.backup import back_up
    from app.commands.backup_folder import BackupFolder
    from app.commands.backup_programs import Programs
    from app.records.engine import engine
    from migrations import revisions

    configured = running_settings()
    url = configured.resolved_database_url
    passphrase = passphrase_of(configured)
    folder = BackupFolder.new if new else BackupFolder.for_one_more
    with _told(target), progress() as report:
        made = back_up(
            into=folder(target, passphrase=passphrase),
            engine=engine(),
            programs=Programs(programs_folder(configured), url=url),
            blobs=Blobs(configured.blob_folder),
            program=version("firstread"),
            known=revisions(),
            by=at_the_terminal(),
            keep=keep,
            verify=verify,
            report=report,
        )
    return _tell(made, target=target, encrypted=passphrase is not None)


def _tell(made: BackedUp, *, target: Path, encrypted: bool) -> int:
    how = "encrypted" if encrypted else "not encrypted"
    print(f"{target / made.name} is whole, {how}: {made.rows:,} rows, {made.blobs:,} blobs", end="")
    print(f" ({made.copied:,} copied, the others were there).")
    if made.deleted_meanwhile:
        print(f"{made.deleted_meanwhile:,} blobs were deleted while it was made, and are not in it.")
    if made.all_stay is not None:
        print(made.all_stay, file=sys.stderr)
    if not made.damaged:
        return 0 if made.all_stay is None else INCOMPLETE
    print(
        f"The site has lost {len(made.damaged):,} blobs, of which this backup lacks {made.lacking:,}; "
        "is the site's disk sound?",
        file=sys.stderr,
    )
    for sentence in made.damaged[:TOLD]:
        print(sentence, file=sys.stderr)
    return INCOMPLETE


def passphrase_of(configured: Settings) -> str | None:
    """The passphrase as the environment or its file has it; None where backups are not encrypted."""
    from app.commands.backup_refusal import BackupRefused

    given, file = configured.backup_passphrase, configured.backup_passphrase_file
    if given is not None and file is not None:
        raise BackupRefused(
            "Set either FIRSTREAD_BACKUP_PASSPHRASE or FIRSTREAD_BACKUP_PASSPHRASE_FILE, not both."
        )
    passphrase = None if given is None else given.get_secret_value()
    try:
        if file is not None:
            passphrase = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BackupRefused(f"FIRSTREAD_BACKUP_PASSPHRASE_FILE cannot be read: {reason}.") from error
    if passphrase == "":
        raise BackupRefused("The passphrase of backups is empty; set one, or unset the variable.")
    return passphrase


def programs_folder(configured: Settings) -> Path:
    """Where `pg_dump` and `pg_restore` are: those of the embedded server, also for a server elsewhere."""
    from app.embedded.binaries import postgres_programs

    return postgres_programs(account=None, copies=configured.home / "postgres")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage where somebody watches; nothing for cron."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=of)
            bar.update(tasks[stage], completed=done, total=of)

        yield report


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """What the operating system refuses is a sentence."""
    from app.commands.backup_refusal import BackupRefused

    try:
        yield
    except OSError as error:
        at = error.filename or target
        raise BackupRefused(f"No backup was made: {error.strerror or error} ({at}).") from error
