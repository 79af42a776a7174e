"""Stored bytes, named by their sha256; what `keep` has returned from is on the disk.

A local or shared (NFS) folder. The order is: write a staged file, fsync it, link it under its name, fsync the
folder. A crash at any line leaves either nothing under the name or all of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from app.errors import NotFound, TooLarge, Unavailable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_STAGED_FOR_AT_MOST = 24 * 3600.0
_YOUNG = 300.0
"""Seconds in which nobody removes a file that was kept; far less than `blob_removal` waits, as clocks differ
and NFS may remember a file's time for a minute.
"""
_IS_SHA256 = re.compile("[0-9a-f]{64}")
_syncers = ThreadPoolExecutor(8, thread_name_prefix="fsync")


@contextmanager
def _room() -> Iterator[None]:
    """A full disk is Unavailable, in words for the sender."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                "The disk is full; nothing was accepted. Try again once there is room."
            ) from error
        raise


class StagedFile:
    """Bytes on their way in: written and hashed, not yet kept. Leaving its `with` discards."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self.size = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        self._syncing: Future[None] | None = None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Appends; raises TooLarge past the limit and Unavailable when the disk is full."""
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise TooLarge(
                f"A file may have at most {self._max_bytes:,} bytes. "
                "Send a smaller one, or raise FIRSTREAD_MAX_FILE_BYTES.",
            )
        self._hash.update(chunk)
        with _room():
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]

    @property
    def sha256(self) -> str:
        """Hex digest of what was written so far."""
        return self._hash.hexdigest()

    def sync_meanwhile(self) -> None:
        """Begins what `sync` waits for, in another thread; nothing can be written any more."""
        if self._syncing is None and not self._file.closed:
            self._syncing = _syncers.submit(self._sync)

    def sync(self) -> None:
        """Waits until the bytes are on the disk, and closes the file."""
        if self._syncing is not None:
            self._syncing.result()
        elif not self._file.closed:
            self._sync()

    def _sync(self) -> None:
        with _room():
            os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Forgets the bytes; harmless after `keep`."""
        if self._syncing is not None:
            wait((self._syncing,))
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class Blobs:
    """The store below one folder: `incoming/` for staged files, `sha256/ab/...` for kept ones."""

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "incoming"
        self._kept = folder / "sha256"
        self._aside = folder / "aside"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._kept.mkdir(exist_ok=True)
        if not (self._kept / "ff").is_dir():
            for first in range(256):
                (self._kept / f"{first:02x}").mkdir(exist_ok=True)
            _sync_folder(self._kept)
            _sync_folder(folder)

    def stage(self, *, max_bytes: int) -> StagedFile:
        """A new, empty staged file."""
        with _room():
            return StagedFile(self._incoming / uuid4().hex, max_bytes=max_bytes)

    def keep(self, staged: StagedFile) -> str:
        """Makes the staged bytes durable and returns their sha256. Whoever is about to remove the same bytes
        (`set_aside`) sees that they are wanted again, also before a row names them.
        """
        sha256 = staged.sha256
        path = self._path(sha256)
        with _room():
            staged.sync()
            self._name(staged, path)
            _sync_folder(path.parent)
        return sha256

    @staticmethod
    def _name(staged: StagedFile, path: Path) -> None:
        """The bytes have their name, and the file's time is of this moment and not of when it was staged.

        A file that is there already stays only where it is so young that nobody can be removing it. An older
        one is replaced by ours: another machine may just have set it aside, which this one need not see while
        it remembers the folder (NFS), and touching it would touch what is removed.
        """
        os.utime(staged.path)
        with suppress(FileExistsError):  # then one of the two below
            os.link(staged.path, path)
            return
        with suppress(FileNotFoundError, PermissionError):  # gone meanwhile; another user of this machine's
            there = path.stat()
            if there.st_size == staged.size and time.time() - there.st_mtime < _YOUNG:
                os.utime(path)
                return
        again = staged.path.with_name(uuid4().hex)
        os.link(staged.path, again)
        try:
            os.utime(again)
            again.replace(path)
        finally:
            again.unlink(missing_ok=True)

    def put(self, data: bytes) -> str:
        """Keeps bytes made here (a preview, a bundle) and returns their sha256."""
        with self.stage(max_bytes=len(data)) as staged:
            staged.write(data)
            return self.keep(staged)

    def path(self, sha256: str) -> Path:
        """Where the bytes are; raises NotFound when they are not."""
        path = self._path(sha256)
        if not path.is_file():
            raise NotFound(f"The stored bytes {sha256[:12]} are missing from the blob folder.")
        return path

    def read(self, sha256: str) -> bytes:
        """The bytes."""
        return self.path(sha256).read_bytes()

    def has(self, sha256: str) -> bool:
        """True when the bytes are kept."""
        return self._path(sha256).is_file()

    def set_aside(self, sha256: str, *, untouched_since: float) -> bool | None:
        """The bytes have no name any more and can still be put back. False where somebody has kept them since
        `untouched_since` (seconds since 1970): they stay. None where there are none.

        Between looking and renaming somebody may keep the same bytes again and rely on what has the name.
        Theirs is of another time than the file that was looked at, and the time of the one that was set aside
        tells. Who keeps them after the renaming has the name for a file of their own.
        """
        path, aside = self._path(sha256), self._aside / sha256
        try:
            before = path.stat().st_mtime_ns
            if before / 1e9 >= untouched_since:
                return False
            self._aside.mkdir(exist_ok=True)
            path.rename(aside)
        except FileNotFoundError:
            return None
        with suppress(FileNotFoundError):  # put back by a process that took this one for dead
            with aside.open("rb") as file:  # opened: over NFS only that asks the server and no memory
                after = os.fstat(file.fileno()).st_mtime_ns
            if after == before:
                return True
            self.put_back(sha256)
        return False

    def put_back(self, sha256: str) -> None:
        """Bytes that were set aside have their name again."""
        aside = self._aside / self._path(sha256).name
        with suppress(FileExistsError, FileNotFoundError):  # kept meanwhile; put back by somebody else
            os.link(aside, self._path(sha256))
        aside.unlink(missing_ok=True)

    def forget(self, sha256: str) -> None:
        """Bytes that were set aside are gone."""
        (self._aside / self._path(sha256).name).unlink(missing_ok=True)

    def set_aside_before(self) -> list[str]:
        """What a process that was killed left set aside."""
        if not self._aside.is_dir():
            return []
        return sorted(path.name for path in self._aside.iterdir() if _IS_SHA256.fullmatch(path.name))

    def untouched(self, *, since: float) -> Iterator[str]:
        """All bytes that nobody has kept since then (seconds since 1970)."""
        for folder in sorted(self._kept.iterdir()):
            for entry in os.scandir(folder):
                with suppress(FileNotFoundError):
                    if _IS_SHA256.fullmatch(entry.name) and entry.stat().st_mtime < since:
                        yield entry.name

    def lend(self, staged: StagedFile) -> str:
        """The staged bytes for one worker, for minutes, under the name returned; they are never kept."""
        staged.sync()
        name = f"lent-{uuid4().hex}"
        os.link(staged.path, self._incoming / name)
        return name

    def lent(self, name: str) -> Path:
        """Where lent bytes are; raises NotFound once they were given back."""
        path = self._incoming / Path(name).name
        if not name.startswith("lent-") or not path.is_file():
            raise NotFound("The file that was sent is no longer there. Send it again.")
        return path

    def give_back(self, name: str) -> None:
        """The lent bytes are gone."""
        if name.startswith("lent-"):
            (self._incoming / Path(name).name).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Removes staged and lent files that a crash left more than a day ago; returns how many."""
        swept = 0
        for path in self._incoming.iterdir():
            try:
                if time.time() - path.stat().st_mtime > _STAGED_FOR_AT_MOST:
                    path.unlink()
                    swept += 1
            except FileNotFoundError:
                continue
        return swept

    def _path(self, sha256: str) -> Path:
        if not _IS_SHA256.fullmatch(sha256):
            raise NotFound("That is no sha256.")
        return self._kept / sha256[:2] / sha256


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
