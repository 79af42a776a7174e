"""What a dataset is worth as a whole: copies, contradictions, patients in two splits, and whether a network
can be trained on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain import patient_key
from app.domain.sentence import sentence
from models import near_duplicates
from models.dataset import finding_names
from models.doubt import LEAST_PATIENTS
from models.examples import SPLITS, DatasetRefused, Example
from worker.learning.inspect_file import (
    CONTRADICTING,
    DUPLICATE,
    NOT_AN_IMAGE,
    UNREADABLE,
    WITHHELD,
    InspectedFile,
)

_FEW_PATIENTS = 100
"""Of a class; with fewer, what is measured is rough."""
_IMBALANCE = 2.0
_MOST_NAMED = 500


def tell_copies_apart(files: list[InspectedFile], squares: NDArray[np.uint8]) -> None:
    """Of the same picture, or nearly the same, one stays where both are of one patient in different splits or
    of different patients; all go where their labels contradict. Near copies of one patient stay, named.
    """
    alike: dict[str, list[InspectedFile]] = defaultdict(list)
    for file in files:
        if file.usable:
            alike[file.pixels].append(file)
    for same in alike.values():
        if len(same) > 1:
            _same(same)
    left = [file for file in files if file.usable]
    if len(left) < 2:
        return
    smalls = np.stack([near_duplicates.small(squares[file.square]) for file in left])
    for group in near_duplicates.groups(smalls):
        _nearly_same([left[at] for at in group])


def _same(same: list[InspectedFile]) -> None:
    if len({_class(file) for file in same}) > 1:
        return _contradict(same)
    first = min(same, key=_rank)
    for file in same:
        if file is not first:
            file.is_out(DUPLICATE, sentence("It is the same picture as another file."), copy_of=first.path)
    return None


def _nearly_same(group: list[InspectedFile]) -> None:
    if len({_class(file) for file in group}) > 1:
        return _contradict(group)
    first = min(group, key=_rank)
    owner = first.patient_key or patient_key.of_file(patient_key=None, sha256=first.sha256)
    for file in group:
        if file is first:
            file.patient_key = owner
            continue
        file.copy_of = first.path
        if file.split != first.split:
            file.is_out(DUPLICATE, sentence("It is nearly the same picture as one in another split."))
        elif file.patient_key is None:
            file.patient_key = owner  # so that no split ever parts them
        elif file.patient_key != owner:
            file.is_out(DUPLICATE, sentence("It is nearly the same picture as one of another patient."))
    return None


def _contradict(files: list[InspectedFile]) -> None:
    for file in files:
        other = next(each for each in files if _class(each) != _class(file))
        said = sentence("The same picture, or nearly the same, has another label elsewhere; one is wrong.")
        file.is_out(CONTRADICTING, said, copy_of=other.path)


def _rank(file: InspectedFile) -> tuple[int, str]:
    return -SPLITS.index(file.split) if file.split in SPLITS else 1, file.path


def _class(file: InspectedFile) -> str:
    return (file.label or "").lower()


def key_of(file: InspectedFile) -> str:
    """Whose picture it is; of nobody else where nothing says."""
    return patient_key.of_file(patient_key=file.patient_key, sha256=file.sha256)


def crossing(files: list[InspectedFile]) -> list[dict[str, Any]]:
    """Patients with usable pictures in more than one split: `{patient, splits: {split: pictures}}`."""
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        if file.usable and file.split:
            splits[key_of(file)][file.split] += 1
    return [
        {"patient": patient, "splits": dict(counted)}
        for patient, counted in sorted(splits.items())
        if len(counted) > 1
    ]


def refusal(files: list[InspectedFile], crossed: list[dict[str, Any]]) -> str | None:
    """Why no network can be trained on it; a sentence, or None."""
    pictures = [file for file in files if file.square >= 0 or file.outcome == UNREADABLE]
    if not pictures:
        return sentence(
            f"There is no radiograph among the files ({len(files)}). Send DICOM, PNG or JPEG files in one "
            "folder per class."
        )
    usable = [file for file in files if file.usable]
    if not usable:
        outcome = Counter(str(file.outcome) for file in pictures).most_common(1)[0][0]
        first = next(file for file in pictures if file.outcome == outcome)
        said = sentence(f"None of the pictures can be used ({len(pictures)}).")
        return f"{said} {first.reason}" if first.reason else said
    try:
        finding_names(
            [
                Example(Path(file.path), file.label or "", "", key_of(file), file.split or "")
                for file in usable
            ]
        )
    except DatasetRefused as error:
        return str(error)
    if crossed:
        return sentence(
            f"Patients who are in more than one split: {len(crossed)}. A network must be tested on patients "
            "it has not learnt from. Move all pictures of a patient into one split, or leave some out, and "
            "inspect again."
        )
    patients = _patients(usable)
    label, count = min(patients.items(), key=lambda one: (one[1], one[0]))
    if count < LEAST_PATIENTS:
        return sentence(
            f"There are too few patients of the class {label}: {count}. A network can be trained, held back "
            f"and tested from {LEAST_PATIENTS} patients of each class; some hundred make it useful."
        )
    return None


def _patients(usable: list[InspectedFile]) -> dict[str, int]:
    return Counter(label for label, _ in {(_class(file), key_of(file)) for file in usable})


def imbalance(counts: Counter[str]) -> str | None:
    """Of pictures of each class: where they are out of balance, a sentence on what training does about it."""
    (most, many), (least, few) = counts.most_common(1)[0], counts.most_common()[-1]
    if many < _IMBALANCE * few:
        return None
    times = f"{many / few:.1f}"
    return sentence(
        f"The classes are out of balance: of {most} there are {times} times as many pictures as "
        f"of {least}. Training makes up for it: quick training gives both classes the same "
        "weight, and probabilities and cuts are set for a finding as frequent as its absence. "
        f"More pictures of {least} help most."
    )


def warnings(files: list[InspectedFile], *, lacking: list[str]) -> list[str]:
    """What an administrator should know before training, in sentences, the gravest first."""
    usable = [file for file in files if file.usable]
    said = []
    outcomes = Counter(file.outcome for file in files)
    counts = Counter(_class(file) for file in usable)
    if len(counts) > 1:
        unbalanced = imbalance(counts)
        if unbalanced is not None:
            said.append(unbalanced)
        for label, patients in sorted(_patients(usable).items()):
            if LEAST_PATIENTS <= patients < _FEW_PATIENTS:
                said.append(
                    sentence(
                        f"There are only {patients} patients of the class {label}: what is measured on them "
                        "will be rough."
                    )
                )
    if outcomes[CONTRADICTING]:
        said.append(
            sentence(
                f"Pictures whose labels contradict each other: {outcomes[CONTRADICTING]}. They are left out "
                "until the wrong label is set right."
            )
        )
    if outcomes[WITHHELD]:
        said.append(
            sentence(
                f"Pictures that the network would be spared at work: {outcomes[WITHHELD]}. They lie outside "
                "its intended use or are no upright frontal chest, so it is not trained on them."
            )
        )
    unlike = sum(file.unlike for file in usable)
    if unlike:
        said.append(
            sentence(
                f"Pictures unlike those that the active network has learnt from: {unlike}. They are kept; a "
                "network learns from them what your radiographs look like."
            )
        )
    named_by_nobody = sum(file.patient_key is None for file in usable)
    if named_by_nobody:
        said.append(
            sentence(
                f"Pictures that do not say whose they are: {named_by_nobody}. Each counts as a patient of "
                "its own; where a patient has several, say so in a manifest (patient_key), or figures will "
                "flatter the network."
            )
        )
    unread = outcomes[UNREADABLE] + outcomes[NOT_AN_IMAGE]
    if unread:
        said.append(sentence(f"Files that hold no picture that can be read: {unread}. They are left out."))
    if lacking:
        said.append(
            sentence(f"Files that the manifest names and nobody sent: {len(lacking)}, first {lacking[0]}.")
        )
    return said


def named(crossed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as a page may hold."""
    return crossed[:_MOST_NAMED]
