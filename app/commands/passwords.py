"""Passwords: argon2, the same time for a known and an unknown user, and what a new one must be."""

from __future__ import annotations

import secrets

from pwdlib import PasswordHash

from app.errors import Unprocessable

_hasher = PasswordHash.recommended()
_SHORTEST = 10
_HASH_OF_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$xjHaBq6X22kmPByEqo+lkg$rMgIEeZpMUrYrodjKD4RYJcj/3uOE8bwj50axPpCKvc"
)
"""Of a random password that was thrown away; made beforehand, or the first unknown name would take twice as
long as a known one. A test holds its cost against that of new hashes."""


def hashed(password: str) -> str:
    """What is stored of a password."""
    return _hasher.hash(password)


def one_time() -> str:
    """A password that the service makes up; its owner must change it."""
    return secrets.token_urlsafe(12)


def verify(password: str, known: str | None) -> tuple[bool, str | None]:
    """Whether it is right, and a newer hash where the stored one is outdated; None takes as long.

    One hash is computed whoever asks, from the first call of a process on.
    """
    right, newer = _hasher.verify_and_update(password, known or _HASH_OF_NOBODY)
    return right and known is not None, newer


def check_change(*, username: str, known: str, current: str, new: str) -> None:
    """Raises Unprocessable where the current password is wrong or the new one is not good enough."""
    if not _hasher.verify(current, known):
        raise Unprocessable("The current password is not right.")
    if len(new) < _SHORTEST:
        raise Unprocessable(f"A password has at least {_SHORTEST} characters.")
    if new == current or new.lower() in (username, username * 2):
        raise Unprocessable("Choose a password that is neither the old one nor the user name.")
