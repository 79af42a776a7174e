"""Folders for unix sockets, whose paths the kernel limits to 107 bytes (103 on macOS)."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from app.embedded.account import Account, can_enter, give
from app.embedded.refusal import CannotStart

LONGEST_SOCKET_PATH = 103
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+\Z")
"""Paths that mean the same in a libpq address, in a broker URL and in a configuration line."""


def socket_folder(preferred: Path, *, socket_name: str, account: Account | None = None) -> Path:
    """A folder of mode 0700, owned by `account`, in which a socket called `socket_name` has a path short
    enough.

    That is `preferred` (whose parent exists) where its path is short and plain. Otherwise it is a folder
    below the system's temporary one, and `preferred` is a link to it, so that a later start finds and reuses
    it.
    """
    preferred = preferred.parent.resolve() / preferred.name
    if _fits(preferred / socket_name):
        give(account, preferred)
        return preferred
    if preferred.is_symlink():
        linked = preferred.readlink()
        if _is_ours(linked, account) and _fits(linked / socket_name):
            return linked
        preferred.unlink()
    folder = _short_folder(socket_name, account)
    if folder is None:
        raise CannotStart(
            f"The path of {preferred / socket_name} is longer than the {LONGEST_SOCKET_PATH} bytes a "
            "socket's "
            "may be, and there is no shorter folder in /tmp; set FIRSTREAD_HOME to a shorter path."
        )
    preferred.symlink_to(folder)
    return folder


def remove_socket_folder(preferred: Path) -> None:
    """What `socket_folder` made is gone."""
    if preferred.is_symlink():
        shutil.rmtree(preferred.readlink(), ignore_errors=True)
        preferred.unlink(missing_ok=True)
    else:
        shutil.rmtree(preferred, ignore_errors=True)


def _short_folder(socket_name: str, account: Account | None) -> Path | None:
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108, mkdtemp below
        if not (Path(parent).is_dir() and can_enter(account, Path(parent))):
            continue
        folder = Path(tempfile.mkdtemp(prefix="firstread-", dir=parent)).resolve()
        if _fits(folder / socket_name):
            give(account, folder)
            return folder
        folder.rmdir()
    return None


def _is_ours(folder: Path, account: Account | None) -> bool:
    """Whether nobody else can have made it or put a socket into it."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    owner = os.geteuid() if account is None else account.uid
    return (
        folder.is_dir() and not folder.is_symlink() and state.st_uid == owner and state.st_mode & 0o077 == 0
    )


def _fits(path: Path) -> bool:
    text = str(path)
    return len(text.encode()) <= LONGEST_SOCKET_PATH and _PLAIN.match(text) is not None
