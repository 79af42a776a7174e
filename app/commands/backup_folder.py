"""The folder of a site's backups: stored bytes once for all of them, and a folder for each backup.

    firstread-backup.json              which format, and the lock of an encrypted one
    blobs/ab/...                       stored bytes, each once, however many backups name it
    2026-11-23T02-00-00.000000Z/       a backup: manifest, database, blobs (the digests it names, sorted)
    unfinished/                        what is being written

Whatever has its name is whole and on the disk: it was written in `unfinished` and renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from app.commands.backup_files import hashed, readable, stored, sync_folder, unreadable, write
from app.commands.backup_refusal import BackupRefused, Damaged
from app.commands.backup_seal import Seal, new_seal, seal_of

HEADER = "firstread-backup.json"
_FORMAT = 1
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z")
_DIGEST = 32


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup holds; written last, so that a backup with a manifest is whole."""

    name: str
    program: str
    """The version of FirstRead that made it."""
    revision: str
    """Of the database's schema."""
    rows: dict[str, int]
    """Of each table."""
    database_sha256: str
    blobs: int
    blobs_sha256: str
    """Of the list of digests."""
    lacking: list[str]
    """Blobs that rows name and that were not to be had when it was made."""


class BackupFolder:
    """One folder of backups, with the seal that its files have."""

    def __init__(self, path: Path, seal: Seal) -> None:
        self.path = path
        self.seal = seal
        self._unfinished = path / "unfinished"
        self._changed: set[Path] = set()
        self._changing = threading.Lock()

    @classmethod
    def at(cls, path: Path, *, passphrase: str | None) -> BackupFolder:
        """The folder at `path`; raises BackupRefused where it is none or the passphrase is another."""
        try:
            header = json.loads((path / HEADER).read_bytes())
            format_, lock = header["format"], header["lock"]
        except (FileNotFoundError, NotADirectoryError):
            raise BackupRefused(f"{path} is no backup of FirstRead ({HEADER} is missing).") from None
        except (ValueError, KeyError, TypeError):
            raise Damaged(f"{path / HEADER} is damaged.") from None
        if format_ != _FORMAT:
            raise BackupRefused(f"{path} was written by a newer version of FirstRead than this one.")
        return cls(path, seal_of(lock, passphrase))

    @classmethod
    def new(cls, path: Path, *, passphrase: str | None) -> BackupFolder:
        """One made where there is nothing yet, readable by this user alone; elsewhere BackupRefused."""
        if (path / HEADER).exists():
            raise BackupRefused(f"{path} is a folder of backups already; leave out --new.")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BackupRefused(
                f"{path} is not empty and no backup of FirstRead; name a folder of its own for backups."
            )
        seal, lock = new_seal(passphrase)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        new = path / f"{HEADER}.new"
        write(new, [json.dumps({"format": _FORMAT, "lock": lock}).encode()])
        new.replace(path / HEADER)
        sync_folder(path)
        sync_folder(path.parent)
        return cls(path, seal)

    @classmethod
    def for_one_more(cls, path: Path, *, passphrase: str | None) -> BackupFolder:
        """The folder at `path`; raises BackupRefused where it is none, as a disk may be missing there."""
        if not (path / HEADER).exists():
            raise BackupRefused(
                f"{path} holds no backups of FirstRead. Is its disk mounted? If the first one is to be made "
                "there, say so with --new."
            )
        return cls.at(path, passphrase=passphrase)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process writes in it; what an interrupted one left unfinished is gone."""
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupRefused(f"Another backup into {self.path} is being made; let it end.") from None
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._unfinished.mkdir(mode=0o700)
            try:
                yield
            finally:
                shutil.rmtree(self._unfinished, ignore_errors=True)

    def names(self) -> list[str]:
        """The backups there are, the oldest first."""
        return sorted(each.name for each in self.path.iterdir() if _NAME.fullmatch(each.name))

    def write(self, name: str, chunks: Iterable[bytes]) -> str:
        """The file `name` of the backup that is being made; returns the sha256 of what it says."""
        digest = hashlib.sha256()
        write(self._unfinished / name, self.seal.close(hashed(chunks, digest), purpose=name))
        return digest.hexdigest()

    def keep_blob(self, sha256: str, source: Path, *, verify: bool) -> bool:
        """The bytes of `source` are here, and are those of the digest; False where they were before.

        Those of the right size are believed to be the ones, unless it is to `verify` them. Raises Damaged
        where `source` has others or cannot be read; what was here before stays then.
        """
        path = self._blob(sha256)
        try:
            size = source.stat().st_size
        except OSError as error:
            raise unreadable(sha256, error) from error
        there = path.exists() and path.stat().st_size == self.seal.size(size)
        if there and (not verify or self.is_sound(sha256)):
            return False
        digest = hashlib.sha256()
        new = self._unfinished / uuid4().hex
        try:
            chunks = hashed(stored(source, sha256), digest)
            write(new, self.seal.close(chunks, purpose=f"blob {sha256}"))
        except Damaged:
            new.unlink()
            raise
        if digest.hexdigest() != sha256:
            new.unlink()
            raise Damaged(f"The stored bytes {sha256[:12]} are not those that were stored.")
        path.parent.mkdir(parents=True, exist_ok=True)
        new.replace(path)
        with self._changing:
            self._changed |= {path.parent, path.parent.parent, self.path}
        return True

    def is_sound(self, sha256: str) -> bool:
        """True where the bytes of the digest are here."""
        digest = hashlib.sha256()
        try:
            with self.blob(sha256) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
        except Damaged:
            return False
        return digest.hexdigest() == sha256

    def finish(self, manifest: Manifest) -> None:
        """The backup has its name; from now on it is one."""
        for folder in self._changed:
            sync_folder(folder)
        self._changed.clear()
        said = json.dumps(asdict(manifest)).encode()
        self.write("manifest", [said, b"\n", hashlib.sha256(said).hexdigest().encode()])
        made = self._unfinished / manifest.name
        made.mkdir(mode=0o700)
        for name in ("database", "blobs", "manifest"):
            (self._unfinished / name).rename(made / name)
        sync_folder(made)
        made.rename(self.path / manifest.name)
        sync_folder(self.path)

    def keep_only(self, newest: int) -> str | None:
        """Older backups than so many are gone, and the blobs that only they named.

        Where a backup cannot tell which it names all stay; returns why, in a sentence.
        """
        old = self.names()[:-newest]
        for name in old:
            (self.path / name).rename(self._unfinished / name)  # never half a backup under its name
        if not old:
            return None
        try:
            kept = {self._blob(d.hex()) for name in self.names() for d in self.digests(self.manifest(name))}
        except (Damaged, OSError) as error:
            return f"No blobs of older backups were removed: {error}"
        for path in (self.path / "blobs").glob("*/*"):
            if path not in kept:
                path.unlink()
        return None

    def manifest(self, name: str) -> Manifest:
        """What the backup says of itself."""
        with self._opened(self.path / name / "manifest", "manifest", of=name) as chunks:
            said, _, sha256 = b"".join(chunks).rpartition(b"\n")
        try:
            if hashlib.sha256(said).hexdigest().encode() != sha256:
                raise ValueError
            found = Manifest(**json.loads(said))
        except (ValueError, TypeError):
            raise Damaged(f"The manifest of the backup {name} is damaged.") from None
        if found.name != name:
            raise Damaged(f"{self.path / name} holds the backup {found.name}; give it its name back.")
        return found

    def digests(self, manifest: Manifest) -> list[bytes]:
        """The blobs that the backup names and has."""
        digest = hashlib.sha256()
        with self._opened(self.path / manifest.name / "blobs", "blobs", of=manifest.name) as chunks:
            packed = b"".join(hashed(chunks, digest))
        if digest.hexdigest() != manifest.blobs_sha256:
            raise Damaged(f"The list of blobs of the backup {manifest.name} is damaged.")
        return [packed[start : start + _DIGEST] for start in range(0, len(packed), _DIGEST)]

    def check_database(self, manifest: Manifest) -> None:
        """The whole dump is what was written; raises Damaged."""
        digest = hashlib.sha256()
        with self.database(manifest) as chunks:
            for chunk in chunks:
                digest.update(chunk)
        if digest.hexdigest() != manifest.database_sha256:
            raise Damaged(f"The database of the backup {manifest.name} is damaged.")

    @contextmanager
    def database(self, manifest: Manifest) -> Iterator[Iterator[bytes]]:
        """pg_dump's words."""
        path = self.path / manifest.name / "database"
        with self._opened(path, "database", of=manifest.name) as chunks:
            yield chunks

    @contextmanager
    def blob(self, sha256: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a blob, which the caller compares with the digest."""
        path = self._blob(sha256)
        with self._opened(path, f"blob {sha256}", of=path.name[:12]) as chunks:
            yield chunks

    @contextmanager
    def _opened(self, path: Path, purpose: str, *, of: str) -> Iterator[Iterator[bytes]]:
        what = purpose.partition(" ")[0]
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise Damaged(f"The {what} of {of} is missing from the backup.") from None
        except OSError as error:
            raise Damaged(f"The {what} of {of} cannot be read: {error.strerror}.") from error
        with stream:
            try:
                yield readable(self.seal.open(stream, purpose=purpose))
            except Damaged as error:
                raise Damaged(f"The {what} of {of} in the backup is damaged. {error}") from None

    def _blob(self, sha256: str) -> Path:
        name = self.seal.name(sha256)
        return self.path / "blobs" / name[:2] / name
