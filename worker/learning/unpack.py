"""A zip that somebody sent, unpacked into the blob store within limits: it may be a bomb, or climb out of its
folder. Nothing is ever written under a name that the zip chose.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.blobs import Blobs
from app.domain.dataset_path import clean_path
from app.domain.sentence import sentence
from app.errors import Problem, TooLarge
from models.examples import is_junk

_PIECE = 2**20
_MOST_RATIO = 200
"""Unpacked over packed bytes; the emptiest radiograph packs to a hundredth, a bomb to a thousandth."""
_RATIO_FROM = 2**20
"""Unpacked bytes below which a ratio means nothing."""
_PACKED_IN = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_ZIPS = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")


_ENTRY = struct.Struct("<28xHHH12x")
"""An entry of the directory: lengths of its name, its extra field and its comment."""
_DIRECTORY_BYTES, _RECORD_AT, _ZIP64, _ZIP64_RECORDS = 5, 9, b"PK\x06\x06", 56 + 20
_MOST_ENTRY_BYTES, _FEW = 1024, 100
"""On average: 46 and the path, of which a dataset takes 400 characters."""


class ZipRefused(Exception):
    """The zip cannot be used; the message is a sentence."""


@dataclass(frozen=True)
class Limits:
    """What a zip may become."""

    files: int
    file_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Unpacked:
    """One file of the zip, kept."""

    path: str
    sha256: str
    byte_size: int


def unpack(
    archive: Path,
    *,
    name: str,
    blobs: Blobs,
    limits: Limits,
    on_file: Callable[[int, int], None] = lambda *_: None,
) -> list[Unpacked]:
    """Every file of the zip that goes by this name, as a blob; its path begins with the zip's own, less the
    ending.

    Raises ZipRefused, before anything is written for whatever the zip's list tells, and Unavailable where the
    disk is full.
    """
    try:
        _check_directory(archive, name=name, limits=limits)
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(opened.infolist(), name=name, limits=limits)
            kept = []
            for number, (path, entry) in enumerate(entries, start=1):
                with opened.open(entry) as file:
                    kept.append(_keep(file, path, entry.file_size, blobs=blobs))
                on_file(number, len(entries))
            return kept
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, EOFError) and error.errno is not None:
            raise
        raise ZipRefused(
            sentence(f"{name} is damaged, or no zip at all. Make it anew, or send the folder as it is.")
        ) from error
    except RuntimeError as error:
        raise ZipRefused(_encrypted(name)) from error


def _check_directory(archive: Path, *, name: str, limits: Limits) -> None:
    """Counts what the zip lists without keeping any of it, as opening it keeps every entry in memory."""
    with archive.open("rb") as file:
        found = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # of the record that ZipFile goes by
        if not found:
            raise zipfile.BadZipFile
        size = int(found[_DIRECTORY_BYTES])
        at = int(found[_RECORD_AT]) - size - (_ZIP64_RECORDS if found[0] == _ZIP64 else 0)
        if at < 0 or size > max(limits.files, _FEW) * _MOST_ENTRY_BYTES:
            raise zipfile.BadZipFile
        count, end = 0, at + size
        while at < end:
            file.seek(at)
            entry = file.read(_ENTRY.size)
            if len(entry) < _ENTRY.size:
                raise zipfile.BadZipFile
            at += _ENTRY.size + sum(_ENTRY.unpack(entry))
            count += 1
    if count > limits.files:
        most = f"{limits.files:,}"
        raise ZipRefused(sentence(f"{name} holds {count:,} files; a dataset may have at most {most}."))


def _checked(
    entries: list[zipfile.ZipInfo], *, name: str, limits: Limits
) -> list[tuple[str, zipfile.ZipInfo]]:
    """Path and entry of each file; what file systems leave behind is passed over."""
    folder = name.rpartition(".")[0] or name
    files = []
    for entry in entries:
        if "\\" in (entry.orig_filename or entry.filename):
            raise ZipRefused(
                sentence(
                    f"{name} names its files with backslashes, which may lead anywhere. Make it with another "
                    "program, or send the folder as it is."
                )
            )
        try:
            path = clean_path(f"{folder}/{entry.filename}") if entry.filename[:1] not in ("", "/") else ""
        except Problem:
            path = ""
        if not path:
            raise ZipRefused(
                sentence(f"{name} holds a file whose path leads out of it. It was not unpacked at all.")
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ZipRefused(
                sentence(f"{name} holds a link to another file. Pack the files themselves, without links.")
            )
        if entry.is_dir() or is_junk(path):
            continue
        _check_file(entry, name=name, limits=limits)
        files.append((path, entry))
    if len({path for path, _ in files}) < len(files):
        raise ZipRefused(sentence(f"{name} holds several files of one name. Make it anew."))
    total = sum(entry.file_size for _, entry in files)
    if total > limits.total_bytes:
        gigabytes, most = f"{total / 1e9:,.1f}", f"{limits.total_bytes / 1e9:,.1f}"
        raise ZipRefused(
            sentence(f"Unpacked, {name} would take {gigabytes} GB; there is room for {most} GB at most.")
        )
    return files


def _check_file(entry: zipfile.ZipInfo, *, name: str, limits: Limits) -> None:
    if entry.flag_bits & 0x1:
        raise ZipRefused(_encrypted(name))
    if entry.compress_type not in _PACKED_IN:
        raise ZipRefused(
            sentence(
                f"{name} is packed in a way that is not known here. Make a plain zip, or send the folder."
            )
        )
    if entry.filename.lower().endswith(_ZIPS):
        raise ZipRefused(
            sentence(f"{name} holds another archive. Unpack that one first, or send the folder as it is.")
        )
    if entry.file_size > limits.file_bytes:
        most = f"{limits.file_bytes:,}"
        raise ZipRefused(
            sentence(f"{name} holds a file of {entry.file_size:,} bytes; a file may have at most {most}.")
        )
    if entry.file_size > _RATIO_FROM and entry.file_size > _MOST_RATIO * max(entry.compress_size, 1):
        raise ZipRefused(
            sentence(
                f"{name} is a zip bomb: a file in it would grow more than {_MOST_RATIO} times. "
                "Nothing was unpacked."
            )
        )


def _encrypted(name: str) -> str:
    return sentence(f"{name} is encrypted. Make it without a password, or send the folder as it is.")


def _keep(file: IO[bytes], path: str, size: int, *, blobs: Blobs) -> Unpacked:
    """The bytes are kept; a file that is longer than its zip says is refused while it is read."""
    with blobs.stage(max_bytes=size) as staged:
        try:
            while piece := file.read(_PIECE):
                staged.write(piece)
        except TooLarge as error:
            raise zipfile.BadZipFile(str(error)) from error
        return Unpacked(path, blobs.keep(staged), staged.size)
