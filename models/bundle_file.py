"""The file a bundle is: one stored zip whose every byte is accounted for by a list of SHA-256 sums."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from models.manifest import BundleRefused, Manifest, from_json
from models.preprocess import PREPROCESSING_VERSION

SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
IR_XML, IR_BIN, WEIGHTS = "network.xml", "network.bin", "weights.safetensors"
MEMBERS = (MANIFEST, IR_XML, IR_BIN, WEIGHTS)
HEALTHY_CHEST = "healthy_chest.png"
TRAINED_PATIENTS = "trained_patients.bin"
OPTIONAL_MEMBERS = (HEALTHY_CHEST, TRAINED_PATIENTS)
"""From format 4 on, where training had enough radiographs (`models.healthy_chest`); from format 5 on
(`models.trained_patients`)."""
MOST_BYTES = 200 * 2**20


def seal(path: Path, members: Mapping[str, bytes]) -> str:
    """Write the bundle and give its SHA-256. The same members always give the same bytes; an existing file is
    replaced whole.
    """
    names = _in_order(members)
    sums = "".join(f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in names)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in ((SUMS, sums.encode()), *((name, members[name]) for name in names)):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(content.getvalue())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return hashlib.sha256(content.getvalue()).hexdigest()


def unseal(path: Path) -> tuple[dict[str, bytes], str]:
    """The members and the SHA-256 of the whole file; raises `BundleRefused` if any byte is missing, changed
    or unaccounted for.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BundleRefused(f"{path.name} is larger than any bundle ({MOST_BYTES >> 20} MB).")
        content = path.read_bytes()
    except OSError as error:
        raise BundleRefused(f"The bundle {path} cannot be read: {error.strerror or error}.") from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if any(
                entry.compress_type != zipfile.ZIP_STORED or entry.file_size > MOST_BYTES for entry in entries
            ):
                raise BundleRefused(f"{path.name} is not packed as a bundle is.")
            found = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BundleRefused(
            f"{path.name} is not a whole bundle ({error}); it may be truncated: copy it again."
        ) from error
    names = _in_order(found)
    if sorted(found) != sorted((SUMS, *names)) or len(entries) != len(found):
        raise BundleRefused(
            f"{path.name} holds {', '.join(sorted(found)) or 'nothing'}, "
            f"and a bundle holds {', '.join((SUMS, *MEMBERS))}."
        )
    stated = dict(_sum_line(line) for line in found.pop(SUMS).decode("ascii", "replace").splitlines())
    for name in names:
        if stated.get(name) != hashlib.sha256(found[name]).hexdigest():
            raise BundleRefused(
                f"{name} in {path.name} is not what the bundle was sealed with; the file was altered."
            )
    # Bytes before, between or after the members would be covered by no sum: sealing the members again must
    # give the same file.
    again = sum(len(data) for data in found.values())
    overhead = len(content) - again
    expected = _overhead(names, stated_lines=stated)
    if overhead != expected:
        raise BundleRefused(
            f"{path.name} holds {overhead - expected} bytes that no sum covers; the file was altered."
        )
    return found, hashlib.sha256(content).hexdigest()


def _in_order(members: Mapping[str, bytes]) -> tuple[str, ...]:
    """The names of a bundle of these members, as they are sealed."""
    return (*MEMBERS, *(name for name in OPTIONAL_MEMBERS if name in members))


def read_bundle(path: Path) -> tuple[dict[str, bytes], Manifest]:
    """The members of a bundle that this program may use, and its manifest.

    Raises `BundleRefused` as `unseal` does, and for a bundle that prepares its pictures otherwise.
    """
    members, sha256 = unseal(path)
    manifest = from_json(members[MANIFEST], sha256=sha256)
    if manifest.preprocessing_version != PREPROCESSING_VERSION:
        raise BundleRefused(
            f"The bundle was trained with preprocessing {manifest.preprocessing_version!r} and this "
            f"program does {PREPROCESSING_VERSION!r}; its answers would be wrong. "
            "Train it anew with this version."
        )
    return members, manifest


def _sum_line(line: str) -> tuple[str, str]:
    digest, _, name = line.partition("  ")
    return name, digest


def _overhead(names: tuple[str, ...], *, stated_lines: Mapping[str, str]) -> int:
    """Bytes a sealed bundle has beside its members: the sums and the zip's own records (APPNOTE 4.3.7,
    4.3.12, 4.3.16).
    """
    sums = sum(len(digest) + 2 + len(name) + 1 for name, digest in stated_lines.items())
    records = sum(30 + len(name) + 46 + len(name) for name in (SUMS, *names))
    return sums + records + 22
