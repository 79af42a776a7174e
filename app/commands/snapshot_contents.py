"""What a snapshot would hold now: every image with one label, every patient in one split."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry
from app.commands.snapshot_labels import LABELS, add_imports, add_reviews
from app.commands.snapshot_splits import ALIASES, BOTH, IMAGES, SPLITS, draw
from app.domain.known_patients import MEMBER, KnownPatients
from app.domain.sentence import sentence
from app.domain.snapshot import COLUMNS, NORMAL, TEST, TRAIN, VAL, head_line, line_of
from app.records.base import now

_LARGEST = 8 * 1024**3
_AT_ONCE = 5000
_TABLES = (LABELS, SPLITS, ALIASES, IMAGES)
_JOINED = LABELS.join(SPLITS, SPLITS.c.patient_key == LABELS.c.patient_key)
_LEARNS, _JUDGES = SPLITS.c.split.in_((TRAIN, VAL)), SPLITS.c.split == TEST
_KEPT = or_(and_(_JUDGES, LABELS.c.judges), and_(_LEARNS, LABELS.c.given != TEST))


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a snapshot holds, or would."""

    images: int
    splits: dict[str, dict[str, int]]
    """Images by split and label."""
    patients: dict[str, int]
    """By split."""
    sources: dict[str, dict[str, int]]
    """Images by split and source."""
    reviewers: dict[str, int]
    """Images by whoever signed."""
    blind: int
    left_out: tuple[str, ...]
    """What was left out and why, and who was moved, in sentences."""

    @property
    def findings(self) -> list[str]:
        """The labels besides NORMAL."""
        return sorted({label for labels in self.splits.values() for label in labels} - {NORMAL})


@contextmanager
def gathered(
    session: Session, *, blobs: Blobs, datasets: Sequence[UUID], reviews: bool
) -> Iterator[list[str]]:
    """For the time of the block the tables hold it; with what was left out, in sentences."""
    for table in _TABLES:
        table.create(session.connection())
    left_out = add_imports(session, datasets) if datasets else []
    left_out += add_reviews(session, at=now()) if reviews else []
    _analyze(session)
    left_out += draw(session, known=_known_patients(session, blobs))
    left_out += _one_label_each(session)
    _analyze(session)
    yield left_out + _of_splits(session)
    for table in _TABLES:
        table.drop(session.connection())


def kept(*columns: Any) -> Select[Any]:
    """These columns of the rows that the snapshot holds."""
    return select(*columns).select_from(_JOINED).where(_KEPT)


def held(session: Session, left_out: Sequence[str]) -> Held:
    """The counts of what was gathered."""
    splits: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    by = (SPLITS.c.split, LABELS.c.label, LABELS.c.source)
    for split, label, source, images in session.execute(kept(*by, func.count()).group_by(*by)):
        of_split, of_sources = splits.setdefault(split, {}), sources.setdefault(split, {})
        of_split[label] = of_split.get(label, 0) + images
        of_sources[source] = of_sources.get(source, 0) + images
    patients = kept(SPLITS.c.split, func.count(LABELS.c.patient_key.distinct())).group_by(SPLITS.c.split)
    reviewers = kept(LABELS.c.reviewer, func.count()).where(LABELS.c.reviewer != "")
    return Held(
        images=sum(images for of_split in splits.values() for images in of_split.values()),
        splits=splits,
        patients=_pairs(session, patients),
        sources=sources,
        reviewers=_pairs(session, reviewers.group_by(LABELS.c.reviewer)),
        blind=session.scalar(kept(func.count()).where(LABELS.c.blind == "1")) or 0,
        left_out=tuple(left_out),
    )


def _pairs(session: Session, asked: Select[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in session.execute(asked)}


def write(session: Session, blobs: Blobs) -> tuple[str, str | None]:
    """The manifest is a blob: its sha256, and that of the lines of the locked test, where there is one."""
    columns = [SPLITS.c.split if name == "split" else LABELS.c[name] for name in COLUMNS]
    asked = kept(*columns).order_by(LABELS.c.path.collate("C")).execution_options(yield_per=_AT_ONCE)
    test, any_test = hashlib.sha256(), False
    with blobs.stage(max_bytes=_LARGEST) as staged:
        staged.write(head_line().encode())
        for some in session.execute(asked).partitions():
            lines = []
            for row in some:
                lines.append(line_of(row))
                if row.split == TEST:
                    test.update(lines[-1].encode())
                    any_test = True
            staged.write("".join(lines).encode())
        return blobs.keep(staged), test.hexdigest() if any_test else None


def _analyze(session: Session) -> None:
    for table in _TABLES:
        session.execute(text(f"ANALYZE {table.name}"))


def _known_patients(session: Session, blobs: Blobs) -> KnownPatients:
    """Whom the active bundle has learnt from, where its file is there and says so."""
    active = registry.active_bundle(session)
    if active is None or not blobs.has(active):
        return KnownPatients()
    try:
        with zipfile.ZipFile(blobs.path(active)) as bundle:
            return KnownPatients(bundle.read(MEMBER))
    except (KeyError, zipfile.BadZipFile):
        return KnownPatients()


def _one_label_each(session: Session) -> list[str]:
    """Of the labels of an image the strongest is left; none where equally strong ones contradict."""
    several = LABELS.c.path.in_(select(LABELS.c.path).group_by(LABELS.c.path).having(func.count() > 1))
    if not session.scalar(select(exists().where(several))):
        return []
    strongest = func.min(LABELS.c.strength).over(partition_by=LABELS.c.path).label("strongest")
    ranked = select(LABELS.c.path, LABELS.c.label, LABELS.c.strength, strongest).where(several).subquery()
    contradicting = (
        select(ranked.c.path)
        .where(ranked.c.strength == ranked.c.strongest)
        .group_by(ranked.c.path)
        .having(func.count(ranked.c.label.distinct()) > 1)
    )
    images = session.scalar(select(func.count()).select_from(contradicting.subquery())) or 0
    if images:
        session.execute(delete(LABELS).where(LABELS.c.path.in_(contradicting)))
    texts = [
        LABELS.c[name].collate("C") for name in (*(name for name in COLUMNS if name != "split"), "given")
    ]
    window: dict[str, Any] = {"partition_by": LABELS.c.path, "order_by": [LABELS.c.strength, *texts]}
    place: ColumnElement[Any] = literal_column(f"{LABELS.name}.ctid")
    numbered = (
        select(
            place.label("place"),
            LABELS.c.label,
            func.first_value(LABELS.c.label).over(**window).label("stands"),
            func.row_number().over(**window).label("number"),
        )
        .where(several)
        .subquery()
    )
    overruled = session.scalar(
        select(func.count()).where(numbered.c.number > 1, numbered.c.label != numbered.c.stands)
    )
    session.execute(delete(LABELS).where(place.in_(select(numbered.c.place).where(numbered.c.number > 1))))
    told = []
    if images:
        told.append(sentence(f"Images whose labels contradict each other, left out: {images}."))
    if overruled:
        told.append(sentence(f"Labels that a stronger one of the same image overrules: {overruled}."))
    return told


def _of_splits(session: Session) -> list[str]:
    """What the splits leave out, and what they move, in sentences."""

    def count(*conditions: Any) -> int:
        asked = select(func.count()).select_from(_JOINED).where(*conditions)
        return session.scalar(asked) or 0

    told = []
    if assisted := count(_JUDGES, not_(LABELS.c.judges)):
        told.append(
            sentence(
                "Images of patients of the locked test whose reader had seen the network’s opinion, "
                f"left out: {assisted}."
            )
        )
    if taught := count(_LEARNS, LABELS.c.given == TEST):
        told.append(
            sentence(
                "Images that a dataset keeps for its test, of patients networks may have learnt from, "
                f"left out: {taught}."
            )
        )
    if both := count(SPLITS.c.split == BOTH):
        told.append(
            sentence(
                "Images of patients who judge under one key and were learnt from under another, "
                f"left out: {both}."
            )
        )
    if moved := count(_JUDGES, LABELS.c.judges, LABELS.c.given.in_((TRAIN, VAL))):
        told.append(
            sentence(
                "Images that a dataset has for training and that are in the locked test, because their "
                f"patients are: {moved}."
            )
        )
    return told
