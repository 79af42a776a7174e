"""The checks of a PostgreSQL data folder before a server is started on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.embedded.account import Account
from app.embedded.child import command_line, process_alive
from app.embedded.refusal import AlreadyRunning, CannotStart, disk_full

MAJOR_VERSION = "18"
_SHUTDOWN_SECONDS = 15.0


def check_cluster(data: Path, *, account: Account | None) -> None:
    """`data` is a folder that this PostgreSQL can run on as `account`; raises CannotStart with a sentence."""
    if not data.is_dir():
        raise CannotStart(f"{data} is a file where PostgreSQL's data folder should be; move it away.")
    runs_as = os.geteuid() if account is None else account.uid
    if data.stat().st_uid != runs_as:
        raise CannotStart(
            f"PostgreSQL's data in {data} belongs to another user; start firstread as the user who did "
            "before, "
            "or give the folder to this user with chown -R."
        )
    try:
        version = (data / "PG_VERSION").read_text(errors="replace").strip()
    except FileNotFoundError:
        raise CannotStart(
            f"{data} is not a PostgreSQL data folder (PG_VERSION is missing); restore it from a backup, "
            "or move it away to start with an empty database."
        ) from None
    if version != MAJOR_VERSION:
        raise CannotStart(
            f"The data in {data} was made by PostgreSQL {version[:20] or 'of an unknown version'}, and this "
            "is "
            f"PostgreSQL {MAJOR_VERSION}; restore a backup into an empty folder, or move the data away."
        )
    if (data.stat().st_mode & 0o777) not in (0o700, 0o750):
        data.chmod(0o700)  # PostgreSQL refuses a folder that others may read


def check_unused(data: Path) -> None:
    """Waits out a server that is shutting down, refuses a running one, and forgets one that is long dead."""
    note = data / "postmaster.pid"
    deadline = time.monotonic() + _SHUTDOWN_SECONDS
    while (pid := _noted_pid(note)) is not None:
        if not process_alive(pid) or "postgres" not in command_line(pid):
            # PostgreSQL would take any process with that number for the old server, as containers often have
            note.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise AlreadyRunning(f"Another PostgreSQL (process {pid}) is running on {data}; stop it first.")
        time.sleep(0.05)


def is_ready(data: Path, pid: int) -> bool:
    """Whether the server with this process number says that it takes connections (line 8 of its note)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def log_size(log: Path) -> int:
    """Where the next line of the log will be."""
    return log.stat().st_size if log.exists() else 0


def sentence(what: str, *, log: Path, since: int, folder: Path) -> str:
    """What the log says since byte `since` of why a program of PostgreSQL failed, in one sentence."""
    try:
        with log.open("rb") as stream:
            stream.seek(since)
            lines = [line for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    if any("No space left on device" in line or "Disk quota exceeded" in line for line in lines):
        return disk_full(folder)
    words = ("PANIC:", "FATAL:", "initdb: error:", "error:", "ERROR:")
    telling = [line for line in lines if any(word in line for word in words)]
    reason = (telling or lines or ["it ended without a word"])[-1].strip()
    for word in words:
        reason = reason.rpartition(word)[2].strip() if word in reason else reason
    return f"{what}: {reason.rstrip('.')}; {log} says more."


def _noted_pid(note: Path) -> int | None:
    try:
        return int(note.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
