"""Snapshots: the rows of the manifest, in which split a patient is, and which labels may judge a network."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import IO

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = (TRAIN, VAL, TEST)
IMPORT, CONFIRMED, CORRECTED, READ, ADJUDICATED = "import", "confirmed", "corrected", "read", "adjudicated"
SOURCES = (IMPORT, CONFIRMED, CORRECTED, READ, ADJUDICATED)
NORMAL = "NORMAL"
"""The label of an image that shows no finding."""

NORMAL_NAMES = frozenset({"normal", "no finding", "no_finding", "negative", "healthy", "clear"})
"""What datasets call it; as `models.dataset` has them."""

TEST_SHARE = 0.15
"""Of the patients with a label that may judge so many are drawn for the locked test."""
MOST_OF_FEW = 0.5
ENOUGH_TO_JUDGE = 60
"""Where `TEST_SHARE` would leave fewer patients of a label, more are drawn, up to `MOST_OF_FEW`: the gate
tells nothing with fewer than 50 of each.
"""
VAL_SHARE = 0.15
"""Of the patients that are not for the test."""
NEW_TO_BE_REFRESHED = 0.2
"""A locked test is another one where at least so many of its patients judge for the first time."""


@dataclass(frozen=True, kw_only=True)
class SnapshotRow:
    """One labelled image, as a line of the manifest; what is not known is empty."""

    path: str
    """sha256 of the image's bytes, which are a blob."""
    label: str
    """The finding's name, or NORMAL."""
    subtype: str = ""
    patient_key: str
    split: str
    source: str
    blind: str = "0"
    """1: the reader had never been shown what a network said of the study."""
    reviewer: str = ""
    review_id: str = ""
    study_id: str = ""
    media_type: str = ""
    age_years: str = ""
    sex: str = ""
    view: str = ""
    station: str = ""


COLUMNS = tuple(field.name for field in fields(SnapshotRow))


def label_of(named: str) -> str:
    """The label of a class as a dataset names it: the finding in small letters, or NORMAL."""
    name = named.strip().lower()
    return NORMAL if name in NORMAL_NAMES else name


def may_judge(*, source: str, blind: bool) -> bool:
    """True of labels that owe nothing to a network: imported, adjudicated, or read blind.

    Whoever confirms or corrects what they were shown leans towards it, and so towards the network that reads
    now.
    """
    return blind or source in (IMPORT, ADJUDICATED)


def strength(*, source: str, blind: bool) -> int:
    """Which of several labels of one image counts: that of the smallest number."""
    if source == ADJUDICATED:
        return 0
    return 1 if blind else 2 if source == IMPORT else 3


def test_share(patients: int) -> float:
    """The part that is drawn for the locked test of so many patients of one label."""
    return max(TEST_SHARE, min(MOST_OF_FEW, ENOUGH_TO_JUDGE / patients)) if patients else 0.0


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What decides a patient's split."""

    key: str
    place: str | None = None
    """The split that a snapshot gave them before: it is theirs for ever."""
    given: frozenset[str] = frozenset()
    """Splits that the datasets name."""
    test_share: float = 0.0
    """Of patients like this one so many are drawn for the test; 0 where no label of theirs may judge."""


def split_of(patient: Patient) -> str:
    """The patient's split, whatever their number and order.

    A place of an earlier snapshot stays. Then what the datasets say counts, the test before val before train.
    Otherwise a hash of the key draws.
    """
    if patient.place is not None:
        return patient.place
    for split in (TEST, VAL, TRAIN):
        if split in patient.given:
            return split
    if _drawn(patient.key, "test") < patient.test_share:
        return TEST
    return VAL if _drawn(patient.key, "val") < VAL_SHARE else TRAIN


def same_patients(
    groups: Iterable[Sequence[str]], *, first: Sequence[Collection[str]] = ()
) -> dict[str, str]:
    """For keys that stand for one patient, since all keys of a group do, the one that stands for all: of the
    first collection that has any of them, or else of all, the smallest.
    """
    ranks = {key: rank for rank, keys in reversed(list(enumerate(first))) for key in keys}

    def order(key: str) -> tuple[int, str]:
        return ranks.get(key, len(first)), key

    of: dict[str, str] = {}

    def smallest(key: str) -> str:
        while of.setdefault(key, key) != key:
            of[key] = of[of[key]]
            key = of[key]
        return key

    for group in groups:
        least = min(map(smallest, group), key=order)
        for key in group:
            of[smallest(key)] = least
    return {key: smallest(key) for key in of}


def _drawn(key: str, what: str) -> float:
    """A number from 0 to under 1 that is the patient's own."""
    digest = hashlib.sha256(f"firstread {what} {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def head_line() -> str:
    """The first line of a manifest: CSV as in RFC 4180, with line feeds alone."""
    return _line(COLUMNS)


def line_of(values: Sequence[str]) -> str:
    """A line of the manifest, of values in the order of `COLUMNS`; the hash of a test is made of those."""
    return _line(values)


def manifest_lines(rows: Iterable[SnapshotRow]) -> Iterator[str]:
    """A whole manifest; rows in the order given."""
    yield head_line()
    for row in rows:
        yield _line(astuple(row))


def read_manifest(file: IO[str]) -> Iterator[SnapshotRow]:
    """The rows of a manifest."""
    for row in csv.DictReader(file):
        yield SnapshotRow(**{name: row[name] for name in COLUMNS})


def _line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
