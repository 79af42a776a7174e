"""Folders for unix sockets, whose paths the kernel limits to 107 bytes (103 on macOS)."""

from __future__ import annotations

import re
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

    That is `preferred` (whose parent exists) where its path is short and plain; otherwise a new folder below
    the system's temporary one, which whoever asked must remember and remove.
    """
    preferred = preferred.parent.resolve() / preferred.name
    if _fits(preferred / socket_name):
        give(account, preferred)
        return preferred
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108, mkdtemp below
        if not (Path(parent).is_dir() and can_enter(account, Path(parent))):
            continue
        folder = Path(tempfile.mkdtemp(prefix="firstread-", dir=parent)).resolve()
        if _fits(folder / socket_name):
            give(account, folder)
            return folder
        folder.rmdir()
    raise CannotStart(
        f"The path of {preferred / socket_name} is longer than the {LONGEST_SOCKET_PATH} bytes a socket may "
        "have, and there is "
        "no shorter folder in /tmp; set FIRSTREAD_HOME to a shorter path."
    )


def _fits(path: Path) -> bool:
    text = str(path)
    return len(text.encode()) <= LONGEST_SOCKET_PATH and _PLAIN.match(text) is not None
