"""Labelled radiographs from a folder per class or a manifest, split by patient, each patient on one side
only.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.examples import NORMAL_NAMES, DatasetRefused, Example
from models.preprocess import squash

ImageReader = Callable[[Path], NDArray[np.uint8] | NDArray[np.uint16]]


_SUBTYPE_NAMES = {"bacteria": "bacterial", "virus": "viral"}


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
