"""Files of a backup on their way to the disk, and stored bytes on their way from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.commands.backup_refusal import Damaged
from app.commands.backup_seal import CHUNK, Unsealed


def hashed(chunks: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    """The same chunks, of which the digest has heard."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def write(path: Path, chunks: Iterable[bytes]) -> None:
    """A new file, readable by this user alone, that is on the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", CHUNK) as stream:
        for chunk in chunks:
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """The names in the folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stored(source: Path, sha256: str) -> Iterator[bytes]:
    """The bytes of the site; what its disk refuses is its damage, and not that of the folder."""
    try:
        with source.open("rb") as stream:
            yield from Unsealed().open(stream, purpose="")
    except OSError as error:
        raise unreadable(sha256, error) from error


def readable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes of a backup; what its disk refuses is its damage."""
    try:
        yield from chunks
    except OSError as error:
        raise Damaged(f"It cannot be read: {error.strerror}.") from error


def unreadable(sha256: str, error: OSError) -> Damaged:
    """What to raise of a blob of the site that its disk refuses."""
    return Damaged(f"The stored bytes {sha256[:12]} cannot be read: {error.strerror}.")
