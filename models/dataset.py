"""Labelled radiographs from a folder per class or a manifest, split by patient, each patient on one side
only.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.preprocess import squash

ImageReader = Callable[[Path], NDArray[np.uint8] | NDArray[np.uint16]]
PatientReader = Callable[[Path], str | None]

NORMAL_NAMES = frozenset({"normal", "no finding", "no_finding", "negative", "healthy", "clear"})
SPLITS = ("train", "val", "test")
_SUBTYPE_NAMES = {"bacteria": "bacterial", "virus": "viral"}
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


@dataclass(frozen=True)
class Labelled:
    """Images in memory with their labels. ``images`` is uint8 (n, side, side), ``labels`` float32 (n,
    findings), 0 or 1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.float32]
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    paths: tuple[str, ...]
    findings: tuple[str, ...]
    notices: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Labelled:
        """The chosen images, in order."""
        index = np.arange(len(self))[chosen]
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            patients=self.patients[index],
            splits=self.splits[index],
            paths=tuple(self.paths[at] for at in index),
        )


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


def finding_names(examples: Sequence[Example]) -> tuple[str, ...]:
    """Findings, those that are labels first, then research subtypes. Raises `DatasetRefused` where no
    comparison is possible.
    """
    labels = Counter(example.label.lower() for example in examples)
    if not labels:
        raise DatasetRefused(
            "No images were found; give a folder with one folder of images per class, or a manifest CSV."
        )
    positive = sorted(label for label in labels if label not in NORMAL_NAMES)
    if len(labels) == 1:
        only = next(iter(labels))
        raise DatasetRefused(
            f"All {labels[only]} images are of one class ({only}); a network needs two to tell apart."
        )
    if len(positive) == len(labels):
        raise DatasetRefused(
            f"None of the classes ({', '.join(positive)}) is the normal one; "
            "name its folder NORMAL so that the others are findings."
        )
    if not positive:
        raise DatasetRefused("Every class is a name for normal; one folder must be named for a finding.")
    subtypes = sorted({(example.subtype, example.label.lower()) for example in examples if example.subtype})
    return (*positive, *(subtype_name(subtype, label) for subtype, label in subtypes))


def subtype_name(subtype: str, label: str) -> str:
    """The research finding for a subtype, such as "bacterial pneumonia"."""
    return f"{_SUBTYPE_NAMES.get(subtype.lower(), subtype.lower())} {label}"


def load(
    examples: Sequence[Example],
    *,
    side: int,
    read_image: ImageReader | None = None,
    exclude: frozenset[str] = frozenset(),
    notices: Sequence[str] = (),
    on_image: Callable[[], None] = lambda: None,
) -> Labelled:
    """Read every image, squashed to uint8 (side, side). Excluded patients, unreadable files and exact
    duplicates are left out.

    A patient in the test split and elsewhere stays only in the test split. What was left out is told in
    ``notices``.
    """
    told = list(notices)
    kept = [example for example in examples if example.patient not in exclude]
    if len(kept) < len(examples):
        told.append(f"{len(examples) - len(kept)} images of patients to be left out were not read.")
    tested = {example.patient for example in kept if example.split == "test"}
    both = [example for example in kept if example.patient in tested and example.split != "test"]
    if both:
        told.append(f"{len(both)} images were left out because their patients are in the test split.")
        kept = [example for example in kept if example.split == "test" or example.patient not in tested]
    findings = finding_names(kept)
    read = read_image or read_picture

    def squashed(example: Example) -> NDArray[np.uint8] | str:
        try:
            image = read(example.path)
            levels = squash(image, side=side)
            if image.dtype == np.uint16:
                levels = levels * (255 / max(float(levels.max()), 1.0))
            return np.clip(np.round(levels), 0, 255).astype(np.uint8)
        except Exception as error:  # noqa: BLE001 - a reader is given by the caller and may fail in any way; one file must not end a run
            return f"{example.path.name}: {error}"
        finally:
            on_image()

    with ThreadPoolExecutor(2) as pool:
        squares = list(pool.map(squashed, kept))
    broken = [square for square in squares if isinstance(square, str)]
    if broken:
        told.append(f"{len(broken)} files could not be read and were left out, first {broken[0]}")
    pairs = [
        (example, square)
        for example, square in zip(kept, squares, strict=True)
        if not isinstance(square, str)
    ]
    pairs = _without_duplicates(pairs, told)
    if not pairs:
        raise DatasetRefused(
            f"None of the {len(kept)} images could be read; first {broken[0]}" if broken else "No images."
        )
    findings = finding_names([example for example, _ in pairs])
    return Labelled(
        images=np.stack([square for _, square in pairs]),
        labels=np.array([_label_row(example, findings) for example, _ in pairs], dtype=np.float32),
        patients=np.array([example.patient for example, _ in pairs]),
        splits=np.array([example.split for example, _ in pairs]),
        paths=tuple(str(example.path) for example, _ in pairs),
        findings=findings,
        notices=tuple(told),
    )


def read_picture(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A PNG or JPEG as grey levels, (rows, columns); 16 bits stay 16. Raises ValueError with a sentence."""
    image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ValueError("it is not a PNG or JPEG that can be decoded.")
    return image.astype(np.uint16) if image.dtype == np.uint16 else image.astype(np.uint8)


def _label_row(example: Example, findings: Sequence[str]) -> list[float]:
    label = example.label.lower()
    true = {label} | ({subtype_name(example.subtype, label)} if example.subtype else set())
    return [float(finding in true) for finding in findings]


def _without_duplicates(
    pairs: list[tuple[Example, NDArray[np.uint8]]], told: list[str]
) -> list[tuple[Example, NDArray[np.uint8]]]:
    """Of identical pixels the first stays, one of the test split if there is any; all go where their labels
    contradict.
    """
    alike: dict[bytes, list[int]] = defaultdict(list)
    for index, (_, square) in enumerate(pairs):
        alike[hashlib.sha256(square.tobytes()).digest()].append(index)
    keep, contradicting = [], 0
    for indices in alike.values():
        if len({pairs[index][0].label.lower() for index in indices}) > 1:
            contradicting += len(indices)
        else:
            keep.append(min(indices, key=lambda index: (pairs[index][0].split != "test", index)))
    if contradicting:
        told.append(f"{contradicting} images were left out because the same pixels carry different labels.")
    if len(keep) + contradicting < len(pairs):
        told.append(f"{len(pairs) - len(keep) - contradicting} exact copies of other images were left out.")
    return [pairs[index] for index in sorted(keep)]


def split_by_patient(
    patients: NDArray[np.str_], *, shares: Sequence[float], seed: int, strata: NDArray[np.int_] | None = None
) -> NDArray[np.int_]:
    """For each image the number of its part. A patient is in one part only; the same seed always gives the
    same parts.

    Patients are ordered by a hash of seed and key and cut at the shares, within each stratum, so that every
    part of enough patients has each class. ``shares`` sum to 1.
    """
    strata = np.zeros(len(patients), dtype=np.int_) if strata is None else strata
    stratum_of = {str(patient): int(stratum) for patient, stratum in zip(patients, strata, strict=True)}
    by_stratum: dict[int, list[str]] = defaultdict(list)
    for patient, stratum in stratum_of.items():
        by_stratum[stratum].append(patient)
    part_of: dict[str, int] = {}
    for members in by_stratum.values():
        members.sort(key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).digest())
        cuts = np.round(np.cumsum(shares) * len(members)).astype(int)
        for position, patient in enumerate(members):
            part_of[patient] = int(np.searchsorted(cuts, position, side="right"))
    return np.array([part_of[str(patient)] for patient in patients], dtype=np.int_)
