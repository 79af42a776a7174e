"""Where PostgreSQL's folder lies: where it was asked for, or, for root, where the unprivileged account can
reach it.

PostgreSQL refuses to run as root, and a clone below a home of mode 0700 is out of reach for anybody else.
The parents are never opened up for it. The data then lies in a folder of its own below one of OUTSIDE, and a
note in the folder asked for says where, so that every later start and every copy of the command line finds
the same data.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from app.embedded.account import Account, can_enter
from app.embedded.refusal import CannotStart, from_os_error

NOTE = "location.json"
OWNER_NOTE = "belongs-to.json"
OUTSIDE = (Path("/var/lib/firstread"), Path("/opt/firstread"), Path("/srv/firstread"))


@dataclass(frozen=True)
class Placement:
    """`folder` exists and can be entered by the account; `outside` tells that it is not the folder asked
    for.
    """

    folder: Path
    outside: bool


def place(asked: Path, account: Account | None) -> Placement:
    """Decides where the data lies and makes that folder. Raises CannotStart with a sentence."""
    try:
        asked.mkdir(parents=True, exist_ok=True)
        asked = asked.resolve()
        remembered = noted(asked)
        if remembered is not None:
            return Placement(_checked(remembered, asked=asked, account=account), outside=True)
        if account is None:
            asked.chmod(0o700)
            return Placement(asked, outside=False)
        asked.chmod(0o711)
        _lend_passage(asked.parent, account)
        if can_enter(account, asked):
            return Placement(asked, outside=False)
        return Placement(_make_outside(asked, account), outside=True)
    except OSError as error:
        raise from_os_error(error, asked) from error


def _lend_passage(home: Path, account: Account) -> None:
    """Lets the account's group through `home` when root made it for root alone (as `mktemp -d` does).

    Only the folder that was named for FirstRead, never one above it.
    """
    state = home.stat()
    if state.st_uid == 0 and state.st_mode & 0o077 == 0 and can_enter(account, home.parent):
        os.chown(home, -1, account.gid)
        home.chmod(0o710)


def noted(asked: Path) -> Path | None:
    note = asked / NOTE
    try:
        return Path(json.loads(note.read_text())["folder"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise CannotStart(
            f"{note} should name the folder of PostgreSQL's data and cannot be read; restore it."
        ) from None


def _checked(folder: Path, *, asked: Path, account: Account | None) -> Path:
    if not folder.is_dir():
        raise CannotStart(
            f"PostgreSQL's data lay in {folder} (so says {asked / NOTE}) and that folder is gone; restore "
            "it, "
            "or remove the note to start with an empty database."
        )
    if not can_enter(account, folder):
        raise CannotStart(
            f"PostgreSQL's data lies in {folder}, which this user cannot enter; start firstread as the user "
            "who did before."
        )
    owner = Path(json.loads((folder / OWNER_NOTE).read_text())["asked"])
    if owner != asked:
        if _note_points_to(owner, folder):
            raise CannotStart(
                f"{asked} is a copy of {owner}: both name {folder} as PostgreSQL's data, which only one may "
                "use; "
                f"remove {asked / NOTE} to give the copy an empty database."
            )
        _write(folder / OWNER_NOTE, {"asked": str(asked)})  # the folder was moved, not copied
    return folder


def _note_points_to(asked: Path, folder: Path) -> bool:
    try:
        return noted(asked) == folder
    except (OSError, CannotStart):
        return False


def _make_outside(asked: Path, account: Account) -> Path:
    name = secrets.token_hex(6)  # never the folder of a home that was deleted
    for parent in OUTSIDE:
        folder = parent / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711)
        except OSError:
            continue
        if can_enter(account, folder):
            _write(folder / OWNER_NOTE, {"asked": str(asked)})
            _write(asked / NOTE, {"folder": str(folder)})
            return folder
    tried = ", ".join(str(parent) for parent in OUTSIDE)
    raise CannotStart(
        f"PostgreSQL refuses to run as root, and user {account.name} can reach neither {asked} nor a folder "
        f"below {tried}; "
        "set FIRSTREAD_HOME to a folder that every user can reach, or start firstread as an ordinary user."
    )


def _write(path: Path, content: dict[str, str]) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("w") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
