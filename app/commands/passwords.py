"""Passwords: argon2, the same time for a known and an unknown user, and what a new one must be."""

from __future__ import annotations

import hashlib
import secrets

from pwdlib import PasswordHash

from app.domain.sentence import sentence
from app.errors import Unprocessable

_hasher = PasswordHash.recommended()
_SHORTEST = 10
_HASH_OF_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$xjHaBq6X22kmPByEqo+lkg$rMgIEeZpMUrYrodjKD4RYJcj/3uOE8bwj50axPpCKvc"
)
"""Of a random password that was thrown away; made beforehand, or the first unknown name would take twice as
long as a known one. A test holds its cost against that of new hashes."""


class WrongProof(Unprocessable):
    """Somebody who is signed in was asked for their password or a code again and gave another."""

    slug = "wrong-proof"
    title = sentence("The password or the code is not right")


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


def check_current(password: str, known: str | None) -> None:
    """Raises WrongProof where it is not the password of who is signed in, or they have none here."""
    if known is None or not _hasher.verify(password, known):
        raise WrongProof("The current password is not right.")


def check_change(*, username: str, known: str | None, current: str, new: str) -> None:
    """Raises WrongProof where the current password is wrong, Unprocessable where the new one will not do."""
    check_current(current, known)
    if len(new) < _SHORTEST:
        raise Unprocessable(f"A password has at least {_SHORTEST} characters.")
    if new == current or new.lower() in (username, username * 2):
        raise Unprocessable("Choose a password that is neither the old one nor the user name.")


def digest(secret: str) -> str:
    """What is stored of a long random secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
