"""Bytes as they lie in a backup: as they are, or sealed with AES-256-GCM in chunks, so that a changed byte,
an exchanged file and a cut end all show.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import IO, Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from app.commands.backup_refusal import BackupRefused, Damaged

CHUNK = 2**20
_TAG, _SALT = 16, 32
_MAGIC = b"FRSEAL1\n"
_SCRYPT = {"n": 2**17, "r": 8, "p": 1}
"""128 MB and about a third of a second for each guess of a passphrase."""
_LARGEST_N = 2**22
_SHORTEST = 12


class Seal(Protocol):
    """How bytes lie in a backup. `purpose` says which bytes: one sealed for another purpose does not open."""

    def close(self, chunks: Iterable[bytes], *, purpose: str) -> Iterator[bytes]:
        """What is to be written."""

    def open(self, stream: IO[bytes], *, purpose: str) -> Iterator[bytes]:
        """What had been given to `close`; raises Damaged, at the latest at the end."""

    def size(self, size: int) -> int:
        """How many bytes so many become."""

    def name(self, sha256: str) -> str:
        """What the file of the blob is called."""


class Unsealed:
    """Bytes as they are."""

    def close(self, chunks: Iterable[bytes], *, purpose: str) -> Iterator[bytes]:  # noqa: ARG002
        yield from chunks

    def open(self, stream: IO[bytes], *, purpose: str) -> Iterator[bytes]:  # noqa: ARG002
        while chunk := stream.read(CHUNK):
            yield chunk

    def size(self, size: int) -> int:
        return size

    def name(self, sha256: str) -> str:
        return sha256


class Sealed:
    """Each file has a key of its own, made from the backup's key, a random salt and the file's purpose.

    The chunks are numbered and the last one is marked, as in age and in Tink's streaming AEAD.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._names = self._derived(salt=b"", purpose="names of blobs")

    def close(self, chunks: Iterable[bytes], *, purpose: str) -> Iterator[bytes]:
        salt = secrets.token_bytes(_SALT)
        cipher = AESGCM(self._derived(salt=salt, purpose=purpose))
        yield _MAGIC + salt
        held, number = b"", 0
        for chunk in _of_one_size(chunks):
            if held:
                yield cipher.encrypt(_nonce(number, last=False), held, None)
                number += 1
            held = chunk
        yield cipher.encrypt(_nonce(number, last=True), held, None)

    def open(self, stream: IO[bytes], *, purpose: str) -> Iterator[bytes]:
        head = stream.read(len(_MAGIC) + _SALT)
        if len(head) != len(_MAGIC) + _SALT or not head.startswith(_MAGIC):
            raise Damaged("It does not begin as sealed bytes do.")
        cipher = AESGCM(self._derived(salt=head[len(_MAGIC) :], purpose=purpose))
        number = 0
        chunk = stream.read(CHUNK + _TAG)
        while True:
            following = stream.read(CHUNK + _TAG)
            try:
                yield cipher.decrypt(_nonce(number, last=not following), chunk, None)
            except InvalidTag:
                raise Damaged("It was changed or cut after it was sealed.") from None
            if not following:
                return
            chunk, number = following, number + 1

    def size(self, size: int) -> int:
        return len(_MAGIC) + _SALT + size + _TAG * max(1, -(-size // CHUNK))

    def name(self, sha256: str) -> str:
        """Tells nobody without the key whether a known image is in the backup."""
        digest = HMAC(self._names, SHA256())
        digest.update(bytes.fromhex(sha256))
        return digest.finalize().hex()

    def _derived(self, *, salt: bytes, purpose: str) -> bytes:
        info = b"firstread backup: " + purpose.encode()
        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(self._key)


def new_seal(passphrase: str | None) -> tuple[Seal, dict[str, Any] | None]:
    """A seal with a new key, and that key locked with the passphrase; no passphrase, no seal."""
    if passphrase is None:
        return Unsealed(), None
    if len(passphrase) < _SHORTEST:
        raise BackupRefused(f"The passphrase of a backup has at least {_SHORTEST} characters.")
    key, salt, nonce = secrets.token_bytes(32), secrets.token_bytes(_SALT), secrets.token_bytes(12)
    locked = AESGCM(_from_passphrase(passphrase, salt, _SCRYPT)).encrypt(nonce, key, None)
    lock = {"scrypt": _SCRYPT | {"salt": salt.hex()}, "nonce": nonce.hex(), "key": locked.hex()}
    return Sealed(key), lock


def seal_of(lock: dict[str, Any] | None, passphrase: str | None) -> Seal:
    """The seal that `new_seal` made; raises BackupRefused where the passphrase is not the one of then."""
    if lock is None:
        if passphrase is not None:
            raise BackupRefused(
                "This backup is not encrypted and a passphrase is set: name another folder for encrypted "
                "backups, or unset FIRSTREAD_BACKUP_PASSPHRASE and FIRSTREAD_BACKUP_PASSPHRASE_FILE."
            )
        return Unsealed()
    if passphrase is None:
        raise BackupRefused(
            "This backup is encrypted: set FIRSTREAD_BACKUP_PASSPHRASE_FILE (or FIRSTREAD_BACKUP_PASSPHRASE)."
        )
    try:
        numbers = lock["scrypt"]
        if not numbers["n"] <= _LARGEST_N:
            raise ValueError
        unlocking = AESGCM(_from_passphrase(passphrase, bytes.fromhex(numbers["salt"]), numbers))
        return Sealed(unlocking.decrypt(bytes.fromhex(lock["nonce"]), bytes.fromhex(lock["key"]), None))
    except (InvalidTag, ValueError, KeyError, TypeError, MemoryError) as error:
        raise BackupRefused(
            "The passphrase is not the one this backup was encrypted with (or the lock in its "
            "firstread-backup.json is damaged)."
        ) from error


def _from_passphrase(passphrase: str, salt: bytes, numbers: dict[str, Any]) -> bytes:
    scrypt = Scrypt(salt=salt, length=32, n=numbers["n"], r=numbers["r"], p=numbers["p"])
    return scrypt.derive(passphrase.encode())


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _of_one_size(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK; only the last may be shorter."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)
