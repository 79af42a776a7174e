"""What the folders and the manifests of a dataset say of its files."""

from __future__ import annotations

from pathlib import PurePosixPath

from app.blobs import Blobs
from app.dicom.stated_facts import parsed_facts
from app.domain.sentence import sentence
from models.examples import DatasetRefused, ManifestRow, is_junk, manifest_rows, patient_named
from models.places import places
from worker.learning.inspect_file import (
    DUPLICATE,
    MANIFEST,
    NOT_AN_IMAGE,
    UNLABELLED,
    InspectedFile,
)

_LARGEST_MANIFEST = 256 * 2**20
_JUNK = sentence("A file that file systems leave behind.")
_NO_FOLDER = sentence("It lies in no folder of a class, so that nobody knows what it shows.")
_NOT_NAMED = sentence("The manifest does not name it, so that nobody knows what it shows.")
_NAMED_COPY = sentence("The manifest names it as a copy.")


def label(files: list[InspectedFile], *, blobs: Blobs) -> list[str]:
    """Each file has the label, split, patient and facts that folders or manifests give it, or the outcome why
    none; returns what the manifests name and nobody sent.

    A manifest speaks for its folder and all below; there the folders' names count for nothing. Raises
    `DatasetRefused` for one that cannot be used.
    """
    for file in files:
        if file.outcome is None and is_junk(file.path):
            file.is_out(NOT_AN_IMAGE, _JUNK)
    manifests = _manifests([file for file in files if file.outcome is None], blobs=blobs)
    by_path = {file.path: file for file in files}
    lacking: list[str] = []
    for folder, rows in manifests:
        for row in rows:
            path = _below(folder, row.path)
            named = by_path.get(path)
            if named is None:
                lacking.append(path)
            elif named.outcome is None and named.label is None:
                _apply(named, row, folder=folder)
    spoken_for = tuple(folder for folder, _ in manifests)
    open_ = [file for file in files if file.outcome is None and file.label is None]
    said = places(file.path for file in open_ if not file.path.startswith(spoken_for or "\0"))
    for file in open_:
        place = said.get(file.path)
        if place is not None:
            file.label, file.split = place.label, place.split or None
    for file in files:
        file.brought_label = file.label
        if file.decided_label:
            file.label = file.decided_label
        if file.label and not file.patient_key:
            file.patient_key = patient_named(PurePosixPath(file.path))
    return lacking


def refuse_unlabelled(file: InspectedFile, *, by_manifest: bool) -> None:
    """The outcome of an image of which nobody says what it shows."""
    file.is_out(UNLABELLED, _NOT_NAMED if by_manifest else _NO_FOLDER)


def _manifests(files: list[InspectedFile], *, blobs: Blobs) -> list[tuple[str, list[ManifestRow]]]:
    """Folder, with a slash at the end, and rows of each: the files called manifest.csv, or else an only CSV
    that has the columns.
    """
    tables = [file for file in files if file.path.lower().endswith(".csv")]
    named = [file for file in tables if PurePosixPath(file.path).name.lower() == "manifest.csv"]
    found = []
    for file in named or (tables if len(tables) == 1 else []):
        name = PurePosixPath(file.path).name
        if file.byte_size > _LARGEST_MANIFEST:
            raise DatasetRefused(f"{name} is too large for a manifest.")
        try:
            rows = manifest_rows(blobs.path(file.sha256), name=name)
        except DatasetRefused:
            if named:
                raise
            continue
        file.is_out(MANIFEST)
        folder = file.path.rpartition("/")[0]
        found.append((f"{folder}/" if folder else "", rows))
    return found


def _below(folder: str, path: str) -> str:
    return folder + "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def _apply(file: InspectedFile, row: ManifestRow, *, folder: str) -> None:
    file.label, file.subtype = row.label or None, row.subtype or None
    file.split, file.patient_key = row.split or None, row.patient or None
    file.facts |= parsed_facts(row.facts)
    if row.duplicate_of:
        file.is_out(DUPLICATE, _NAMED_COPY, copy_of=_below(folder, row.duplicate_of))
