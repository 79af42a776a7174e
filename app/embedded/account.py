"""Which operating system account PostgreSQL runs as: it refuses root, so root lends it an unprivileged
one.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.embedded.refusal import CannotStart

CANDIDATES = ("firstread", "postgres", "nobody", "daemon")
"""Tried in this order when root starts PostgreSQL. All but the first come with nearly every system."""


@dataclass(frozen=True)
class Account:
    """An unprivileged account that a child process becomes."""

    name: str
    uid: int
    gid: int


def unprivileged_account(*, owner_of: Path | None = None) -> Account | None:
    """None when this process is not root (a child simply stays what it is).

    For root: the account that owns `owner_of` where that exists already, so that data made under one account
    is never opened under another; otherwise the first of CANDIDATES that the system knows. Raises
    CannotStart when it knows none.
    """
    if os.geteuid() != 0:
        return None
    if owner_of is not None and owner_of.exists():
        uid = owner_of.stat().st_uid
        try:
            known = pwd.getpwuid(uid)
        except KeyError:
            raise CannotStart(
                f"{owner_of} belongs to user number {uid}, which this system does not know; give it to an "
                "existing "
                "unprivileged user with chown -R."
            ) from None
        if uid == 0:
            raise CannotStart(
                f"{owner_of} belongs to root, which PostgreSQL refuses to run as; give it to an "
                "unprivileged user with "
                f"chown -R {_first_known().name} {owner_of}."
            )
        return Account(name=known.pw_name, uid=uid, gid=known.pw_gid)
    return _first_known()


def _first_known() -> Account:
    for name in CANDIDATES:
        try:
            known = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=known.pw_uid, gid=known.pw_gid)
    raise CannotStart(
        "PostgreSQL refuses to run as root and this system has no other user; start firstread as an "
        "ordinary user."
    )


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether `account` (None: this process's own) can step into `folder`; asked of the kernel, so ACLs
    count too.
    """
    if account is None:
        return os.access(folder, os.X_OK)
    step = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    answer = subprocess.run(
        step,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        env={},
        capture_output=True,
        check=False,
    )
    return answer.returncode == 0


def give(account: Account | None, folder: Path, *, mode: int = 0o700) -> None:
    """`folder` exists, belongs to `account` and has `mode`. Its parents must exist and are left as they
    are.
    """
    folder.mkdir(exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    folder.chmod(mode)
