"""Which labelled files there are and whose they are: from a folder per class or a manifest CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PatientReader = Callable[[Path], str | None]
SPLITS = ("train", "val", "test")
_IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom", ""})
_KERMANY_PATIENT = re.compile(r"^(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)[-_]\d+")


class DatasetRefused(Exception):
    """The data cannot be used; the message is a sentence that says why and what to give instead."""


@dataclass(frozen=True)
class Example:
    """One labelled image file."""

    path: Path
    label: str
    subtype: str
    patient: str
    split: str
    """train, val, test, or empty where the data do not say."""


def list_examples(data: Path, *, patient_of: PatientReader | None = None) -> tuple[list[Example], list[str]]:
    """The examples under a folder per class (optionally below train, val, test) or in a manifest CSV, and
    notices.

    A folder that holds a ``manifest.csv`` is read by it, since it names the patients. Files named in
    ``duplicate_of`` are left out. Raises `DatasetRefused`.
    """
    if not data.exists():
        raise DatasetRefused(
            f"There is nothing at {data}; give a folder with one folder per class, or a manifest CSV."
        )
    if data.is_file():
        return _from_manifest(data)
    if (data / "manifest.csv").is_file():
        return _from_manifest(data / "manifest.csv")
    return _from_folders(data, patient_of=patient_of), []


def _from_manifest(manifest: Path) -> tuple[list[Example], list[str]]:
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        lacking = {"path", "label"} - columns
        if lacking:
            raise DatasetRefused(
                f"{manifest.name} has no column {' and no column '.join(sorted(lacking))}; "
                "it needs path and label, and should have patient_key and split."
            )
        rows = list(reader)
    examples, duplicates = [], 0
    for number, row in enumerate(rows, start=2):
        if row.get("duplicate_of"):
            duplicates += 1
            continue
        label, split = (row["label"] or "").strip(), (row.get("split") or "").strip().lower()
        if not label:
            raise DatasetRefused(f"Line {number} of {manifest.name} has no label.")
        if split not in ("", *SPLITS):
            raise DatasetRefused(
                f"Line {number} of {manifest.name} has split {split!r}; "
                f"it can be {', '.join(SPLITS)} or empty."
            )
        path = manifest.parent / row["path"]
        patient = (row.get("patient_key") or row.get("patient_id") or "").strip() or patient_from_name(path)
        examples.append(Example(path, label, (row.get("subtype") or "").strip(), patient, split))
    notices = [f"{duplicates} images marked as duplicates were left out."] if duplicates else []
    return examples, notices


def _from_folders(data: Path, *, patient_of: PatientReader | None) -> list[Example]:
    tops = {folder.name.lower(): folder for folder in sorted(data.iterdir()) if folder.is_dir()}
    roots = [(split, tops[split]) for split in SPLITS if split in tops] or [("", data)]
    examples = []
    for split, root in roots:
        for folder in sorted(
            folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")
        ):
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix.lower() in _IMAGE_ENDINGS and not path.name.startswith("."):
                    patient = (patient_of(path) if patient_of else None) or patient_from_name(path)
                    examples.append(Example(path, folder.name, "", patient, split))
    return examples


def patient_from_name(path: Path) -> str:
    """Who a file is of, where nothing else says: the numbering of the Kermany set, else every file its own
    patient.
    """
    match = _KERMANY_PATIENT.match(path.stem)
    return match.group(1) if match else path.stem


def excluded_patients(manifests: Sequence[Path]) -> frozenset[str]:
    """Patients named in manifests (columns patient_key or patient_id), who are never to be trained on."""
    patients: set[str] = set()
    for manifest in manifests:
        try:
            with manifest.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            raise DatasetRefused(
                f"The list of patients to leave out, {manifest}, cannot be read: {error.strerror}."
            ) from error
        found = {row.get("patient_key") or row.get("patient_id") or "" for row in rows} - {""}
        if not found:
            raise DatasetRefused(f"{manifest} names no patient; it needs a column patient_key.")
        patients |= found
    return frozenset(patients)
