"""The one error of this package: a start that cannot be, told in a sentence to the person at the terminal."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

DISK_RESERVE_BYTES = 256 * 1024 * 1024
"""Below this much free space nothing is started: PostgreSQL alone asks for 16 MiB of log at a time and stops
the whole service when it does not get it, so refusing early is kinder than failing in the middle of an
upload.
"""


class CannotStart(Exception):
    """Something outside the program keeps it from starting; `str(error)` is one sentence that says what and
    what to do.
    """


class StartCancelled(Exception):
    """Whoever asked for the start no longer wants it; what was started has been stopped."""


class AlreadyRunning(CannotStart):
    """Another process holds the folder."""


def nearest_existing(path: Path) -> Path:
    """`path` itself or its closest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_disk_space(folder: Path, *, reserve_bytes: int = DISK_RESERVE_BYTES) -> None:
    """Raises CannotStart when the file system below `folder` (which need not exist yet) is short of space."""
    try:
        free = shutil.disk_usage(nearest_existing(folder)).free
    except OSError:
        return  # a file system that cannot tell is not a reason to refuse
    if free < reserve_bytes:
        raise CannotStart(disk_full(folder, free_bytes=free))


def disk_full(folder: Path, *, free_bytes: int | None = None) -> str:
    """The sentence for a full disk."""
    left = f"only {free_bytes // 1_048_576} MB are free" if free_bytes is not None else "no space is left"
    return (
        f"The disk is full: {left} where {folder} lies, and at least {DISK_RESERVE_BYTES // 1_048_576} MB "
        "are needed; "
        "free some space, or set FIRSTREAD_HOME to a folder on another disk."
    )


def from_os_error(error: OSError, folder: Path) -> CannotStart:
    """The sentence for what the operating system said while files were made below `folder`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CannotStart(disk_full(folder))
    at = error.filename or folder
    if error.errno == errno.EROFS:
        return CannotStart(
            f"Nothing can be written at {at}: the file system is read-only; set FIRSTREAD_HOME to a folder "
            "that can be written."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotStart(
            f"Nothing can be written at {at}: permission denied; set FIRSTREAD_HOME to a folder this user "
            "owns, "
            "or give this user the folder back with chown."
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return CannotStart(
            f"{at} is a file where a folder should be; move it away or set FIRSTREAD_HOME to another folder."
        )
    return CannotStart(f"{at} cannot be used: {error.strerror or error}.")
