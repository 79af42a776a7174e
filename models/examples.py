"""Which labelled files there are and whose they are: from a folder per class or a manifest CSV. The rules are
here, for folders on this machine; what the paths say that were sent to a service is in `models.places`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from models.sentence import sentence

PatientReader = Callable[[Path], str | None]
SPLITS = ("train", "val", "test")
LONGEST_KEY, LONGEST_LABEL = 200, 60
"""Characters of a patient key and of a label; longer ones are a fault of the file, as an unclosed quote."""
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NORMAL_NAMES = frozenset({"normal", "no finding", "no_finding", "negative", "healthy", "clear"})
_IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom", ""})
PICTURE_BEGINS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How PNG (ISO/IEC 15948) and JPEG (ISO/IEC 10918-1) begin."""
_DICM, _PREAMBLE = b"DICM", 128
"""What stands behind the preamble of a DICOM file (PS3.10)."""
_KERMANY_PATIENT = re.compile(r"^(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)[-_]\d+")
_NAMED_PATIENT = re.compile(r"(?<![a-z])(?:patient|subject)[-_ ]?\d+", re.IGNORECASE)
_FACTS = {
    "age_years": ("age_years", "age"),
    "sex": ("sex", "patient_sex"),
    "view": ("view", "view_position"),
    "station": ("station", "station_name"),
}
"""What a manifest may say of a picture besides, and under which names of columns."""


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


def list_examples(
    data: Path, *, patient_of: PatientReader | None = None, most: float = math.inf
) -> tuple[list[Example], list[str]]:
    """The examples under a folder per class (optionally below train, val, test) or in a manifest CSV, and
    notices.

    A folder that holds a ``manifest.csv`` is read by it, since it names the patients. Files named in
    ``duplicate_of`` are left out, and in folders those that are no image by their ending or their content.
    Raises `DatasetRefused`, also for more than ``most`` files, of which none has been opened by then.
    """
    if not data.exists():
        raise DatasetRefused(
            f"There is nothing at {data}; give a folder with one folder per class, or a manifest CSV."
        )
    if data.is_file():
        return _from_manifest(data, most=most)
    if (data / "manifest.csv").is_file():
        return _from_manifest(data / "manifest.csv", most=most)
    return _from_folders(data, patient_of=patient_of, most=most)


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest CSV; what it does not say is empty."""

    path: str
    """Below the manifest's folder, with slashes."""
    label: str
    subtype: str
    patient: str
    split: str
    duplicate_of: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """age_years, sex, view, station, where there are such columns."""
    source: str = ""


def manifest_rows(manifest: Path, *, name: str, most: float = math.inf) -> list[ManifestRow]:
    """The lines of a manifest that goes by this name; raises `DatasetRefused`."""
    rows: list[ManifestRow] = []
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            lacking = sorted({"path", "label"} - columns)
            if lacking:
                raise DatasetRefused(
                    f"{name} has no column {lacking[0]}; it needs path and label, "
                    "and should have patient_key and split."
                )
            for number, row in enumerate(reader, start=2):
                rows.append(_row(row, number, name))
                _check_count(len(rows), limit=most)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetRefused(f"{name} is not a CSV file in UTF-8. Save it as one.") from error
    return rows


def _check_count(files: int, *, limit: float) -> None:
    if files > limit:
        most = f"{limit:,}"
        raise DatasetRefused(f"A dataset may have at most {most} files; this one has more.")


def _row(row: Mapping[str, str | None], number: int, name: str) -> ManifestRow:
    path, label, split = ((row.get(column) or "").strip() for column in ("path", "label", "split"))
    duplicate_of = (row.get("duplicate_of") or "").strip()
    if not path:
        raise DatasetRefused(f"Line {number} of {name} has no path.")
    if not label and not duplicate_of:
        raise DatasetRefused(f"Line {number} of {name} has no label.")
    patient = (row.get("patient_key") or row.get("patient_id") or "").strip()
    subtype = (row.get("subtype") or "").strip()
    if any("\0" in "".join(value or "") for value in row.values()):
        raise DatasetRefused(f"Line {number} of {name} holds a NUL character. Save it anew as CSV in UTF-8.")
    if len(patient) > LONGEST_KEY:
        raise DatasetRefused(
            f"Line {number} of {name} has a patient_key of more than {LONGEST_KEY} characters. "
            "A quotation mark may be left open there."
        )
    if max(len(label), len(subtype)) > LONGEST_LABEL:
        raise DatasetRefused(
            f"Line {number} of {name} has a label or subtype of more than {LONGEST_LABEL} "
            "characters. A quotation mark may be left open there."
        )
    if split and split_named(split) is None:
        raise DatasetRefused(
            f"Line {number} of {name} has split {split!r}; it can be train, val, test or empty."
        )
    values = {
        fact: next((row[column] or "" for column in columns if row.get(column)), "").strip()
        for fact, columns in _FACTS.items()
    }
    return ManifestRow(
        path=path,
        label=label,
        subtype=subtype,
        patient=patient,
        split=split_named(split) or "",
        duplicate_of=duplicate_of,
        facts={fact: value for fact, value in values.items() if value},
        source=(row.get("source") or "").strip(),
    )


def _from_manifest(manifest: Path, *, most: float) -> tuple[list[Example], list[str]]:
    rows = manifest_rows(manifest, name=manifest.name, most=most)
    kept = [row for row in rows if not row.duplicate_of]
    examples = []
    for row in kept:
        path = manifest.parent / row.path
        patient = row.patient or patient_from_name(path)
        examples.append(Example(path, row.label, row.subtype, patient, row.split))
    duplicates = len(rows) - len(kept)
    notices = [f"{duplicates} images marked as duplicates were left out."] if duplicates else []
    return examples, notices


def _from_folders(
    data: Path, *, patient_of: PatientReader | None, most: float
) -> tuple[list[Example], list[str]]:
    tops = [folder for folder in sorted(data.iterdir()) if folder.is_dir()]
    splits = [(split, top) for top in tops if (split := split_named(top.name))]
    roots = sorted(splits, key=lambda pair: SPLITS.index(pair[0])) or [("", data)]
    files: list[tuple[Path, str, str]] = []
    for split, root in roots:
        for folder in sorted(
            folder for folder in root.iterdir() if folder.is_dir() and not is_junk(folder.name)
        ):
            files += [(path, folder.name, split) for path in _below(folder, known=len(files), most=most)]
    examples, passed_over = [], []
    for path, label, split in files:
        if _is_image(path):
            patient = (patient_of(path) if patient_of else None) or patient_from_name(path)
            examples.append(Example(path, label, "", patient, split))
        else:
            passed_over.append(path.name)
    if not passed_over:
        return examples, []
    count, first = len(passed_over), passed_over[0]
    return examples, [
        sentence(f"Files passed over, as they are neither DICOM nor PNG nor JPEG: {count}, first {first}.")
    ]


def _below(folder: Path, *, known: int, most: float) -> list[Path]:
    files = []
    for path in folder.rglob("*"):
        if path.is_file() and not is_junk(path.name):
            files.append(path)
            _check_count(known + len(files), limit=most)
    return sorted(files)


def _is_image(path: Path) -> bool:
    """By its ending; where that says nothing, as that of a DICOM UID, by how it begins."""
    if path.suffix.lower() in _IMAGE_ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            begins = file.read(_PREAMBLE + len(_DICM))
    except OSError:
        return False
    return begins[_PREAMBLE:] == _DICM or begins.startswith(PICTURE_BEGINS)


def split_named(name: str) -> str | None:
    """train, val or test, for what they are called; None for any other name."""
    return _SPLIT_NAMES.get(name.strip().lower())


def is_junk(path: str) -> bool:
    """True of what file systems leave behind and nobody means to send."""
    return any(part.startswith((".", "__MACOSX")) or part == "Thumbs.db" for part in path.split("/"))


def may_be_image(path: str) -> bool:
    """What a path says: by its ending; that of a DICOM UID is a number."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix in _IMAGE_ENDINGS or suffix[1:].isdecimal()


def patient_from_name(path: Path) -> str:
    """Who a file is of, where nothing else says: as `patient_named`, else every file its own patient."""
    return patient_named(path) or (path.stem if path.suffix.lower() in _IMAGE_ENDINGS else path.name)


def patient_named(path: PurePath) -> str | None:
    """Who a file is of by its name or its folder's: the numbering of the Kermany set, "patient12",
    "subject_3"; None where they say nothing, or a number longer than any patient's.
    """
    kermany = _KERMANY_PATIENT.match(path.stem)
    named = next(filter(None, map(_NAMED_PATIENT.search, reversed(path.parts[-2:]))), None)
    said = kermany.group(1) if kermany else named.group(0).lower() if named else None
    return said if said is None or len(said) <= LONGEST_KEY else None


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
