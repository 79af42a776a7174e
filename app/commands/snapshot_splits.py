"""Who of a snapshot's patients learns and who judges, in tables of the transaction's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    MetaData,
    Select,
    Table,
    Text,
    any_,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from app.commands import deletion_learning
from app.commands.snapshot_labels import LABELS
from app.domain.known_patients import KnownPatients
from app.domain.patient_key import SEPARATOR, WITHOUT_ISSUER
from app.domain.sentence import sentence
from app.domain.snapshot import TEST, Patient, same_patients, split_of, test_share
from app.records import LearnedPatient, LockedPatient, PlacedImage

_AT_ONCE = 5000
BOTH = "both"
"""Instead of a split: of one patient's keys one judges and another has taught."""
SPLITS = Table(
    "snapshot_splits",
    MetaData(),
    Column("patient_key", Text, primary_key=True),
    Column("split", Text, nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""Every patient once, by the key that the manifest has."""
ALIASES = Table(
    "snapshot_aliases",
    MetaData(),
    Column("patient_key", Text, primary_key=True),
    Column("of", Text, nullable=False),
    Index("ix_snapshot_aliases_of", "of"),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""Keys that an image has shown to be another key's patient, and that key."""


IMAGES = Table(
    "snapshot_images",
    MetaData(),
    Column("path", Text, primary_key=True),
    Column("patient_key", Text, nullable=False),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""Whose every image is, also of those that are left out."""


@dataclass(frozen=True)
class _Found:
    """A patient, and the label of theirs that may judge."""

    key: str
    places: tuple[str, ...]
    given: frozenset[str]
    label: str | None

    def is_drawn(self, known: KnownPatients) -> bool:
        """Nothing but the hash decides, and the test may have them."""
        return not (self.label is None or self.places or self.given or self.key in known)


def draw(session: Session, *, known: KnownPatients) -> list[str]:
    """Every patient has a split. Returns what there is to say of it."""
    _merge_keys(session)
    of_label: Counter[str] = Counter()
    spared = 0
    for found in _patients(session):
        if found.label is not None and (TEST in found.places or found.is_drawn(known)):
            of_label[found.label] += 1
        spared += found.label is not None and not found.places and not found.given and found.key in known
    shares = {label: test_share(patients) for label, patients in of_label.items()}
    splits: list[dict[str, str]] = []
    for found in _patients(session):
        share = shares[found.label] if found.label is not None and found.is_drawn(known) else 0.0
        place = found.places[0] if found.places else None
        patient = Patient(key=found.key, place=place, given=found.given, test_share=share)
        split = BOTH if len(found.places) > 1 and TEST in found.places else split_of(patient)
        splits.append({"patient_key": found.key, "split": split})
        if len(splits) == _AT_ONCE:
            session.execute(insert(SPLITS), splits)
            splits = []
    if splits:
        session.execute(insert(SPLITS), splits)
    if not spared:
        return []
    return [sentence(f"Patients the active network has learnt from, not drawn for the test: {spared}.")]


def _merge_keys(session: Session) -> None:
    """An image that goes by two keys, now or in a snapshot before, says that they are one patient's. The key
    that images were placed under before stands for all, or else the smallest.
    """
    groups = [*session.scalars(_of_one_image()), *session.scalars(_of_one_number())]
    groups += deletion_learning.canonical(session, session.scalars(select(LABELS.c.patient_key).distinct()))
    earlier = select(PlacedImage.patient_key).where(
        PlacedImage.patient_key == any_(literal([key for group in groups for key in group], ARRAY(Text)))
    )
    # Where one has judged and another taught, what is left out now is the judge's, and never taught.
    locked = earlier.where(PlacedImage.patient_key.in_(select(LockedPatient.patient_key)))
    first = [set(session.scalars(keys.distinct())) for keys in (locked, earlier)] if groups else []
    aliases = [
        {"patient_key": key, "of": canonical}
        for key, canonical in same_patients(groups, first=first).items()
        if key != canonical
    ]
    if aliases:
        session.execute(insert(ALIASES), aliases)
        session.execute(
            update(LABELS)
            .where(LABELS.c.patient_key == ALIASES.c.patient_key)
            .values(patient_key=ALIASES.c.of)
        )
    session.execute(
        insert(IMAGES).from_select(
            ["path", "patient_key"], select(LABELS.c.path, LABELS.c.patient_key).distinct()
        )
    )


def _of_one_image() -> Select[Any]:
    """Keys that one image goes by, in lists."""
    before = select(PlacedImage.image_sha256, PlacedImage.patient_key)
    pairs = union_all(
        select(LABELS.c.path, LABELS.c.patient_key),
        before.where(PlacedImage.image_sha256.in_(select(LABELS.c.path))),
    ).subquery()
    key = pairs.c.patient_key
    return (
        select(func.array_agg(key.distinct())).group_by(pairs.c.path).having(func.count(key.distinct()) > 1)
    )


def _of_one_number() -> Select[Any]:
    """A PatientID without an issuer and all keys that are the same one with an issuer, in lists."""
    keys = union_all(
        select(LABELS.c.patient_key, literal(value=True).label("here")),
        select(LockedPatient.patient_key, literal(value=False)),
        select(LearnedPatient.patient_key, literal(value=False)),
    ).subquery()
    key = keys.c.patient_key
    return (
        select(func.array_agg(key.distinct()))
        .group_by(func.regexp_replace(key, WITHOUT_ISSUER, ""))
        .having(
            func.count(key.distinct()) > 1,
            func.bool_or(func.strpos(key, SEPARATOR) == 0),
            func.bool_or(keys.c.here),
        )
    )


def _patients(session: Session) -> Iterator[_Found]:
    for row in session.execute(_asked().execution_options(yield_per=_AT_ONCE)):
        yield _Found(row.patient_key, tuple(sorted(row.places or ())), frozenset(row.given), row.label)


def _asked() -> Select[Any]:
    placed = union_all(
        select(LockedPatient.patient_key, literal(TEST).label("split")),
        select(LearnedPatient.patient_key, LearnedPatient.split),
    ).subquery()
    key = func.coalesce(ALIASES.c.of, placed.c.patient_key)
    places = (
        select(key.label("patient_key"), func.array_agg(placed.c.split.distinct()).label("places"))
        .select_from(placed.outerjoin(ALIASES, ALIASES.c.patient_key == placed.c.patient_key))
        .group_by(key)
        .subquery()
    )
    patients = (
        select(
            LABELS.c.patient_key,
            func.array_remove(func.array_agg(LABELS.c.given.distinct()), "").label("given"),
            # A finding before NORMAL: small letters come last.
            func.max(LABELS.c.label.collate("C")).filter(LABELS.c.judges).label("label"),
        )
        .group_by(LABELS.c.patient_key)
        .subquery()
    )
    return select(patients, places.c.places).outerjoin(places, places.c.patient_key == patients.c.patient_key)


def keys_of(kept: Select[Any]) -> Select[Any]:
    """All keys of the patients whose keys in the manifest are selected."""
    chosen = kept.subquery()
    own = select(chosen.c.patient_key)
    others = select(ALIASES.c.patient_key).where(ALIASES.c.of.in_(own))
    return select(union_all(own, others).subquery().c.patient_key)
