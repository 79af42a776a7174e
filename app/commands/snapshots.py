"""Snapshots: labelled images frozen into a manifest, for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.commands.snapshot_contents import Held, gathered, held, kept, write
from app.commands.snapshot_labels import LABELS
from app.commands.snapshot_splits import BOTH, IMAGES, SPLITS, keys_of
from app.domain.roles import Actor
from app.domain.snapshot import TEST, TRAIN, VAL
from app.errors import NotFound, Unprocessable
from app.records import Dataset, JudgingPatient, LearnedPatient, LockedPatient, PlacedImage, Snapshot
from app.records.base import now

_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The snapshot; `created` is False where the same content had been taken before."""

    id: UUID
    sha256: str
    created: bool


def preview(session: Session, *, blobs: Blobs, datasets: Sequence[UUID], reviews: bool) -> Held:
    """What a snapshot that is taken now would hold; nothing is changed.

    Raises NotFound and Unprocessable as `take`.
    """
    _names(session, datasets)
    with gathered(session, blobs=blobs, datasets=datasets, reviews=reviews) as left_out:
        return held(session, left_out)


def take(
    session: Session, *, blobs: Blobs, name: str, datasets: Sequence[UUID], reviews: bool, by: Actor
) -> Taken:
    """The usable images of the datasets and, if `reviews`, of all studies whose review gives a label are
    frozen. Its patients have their places for ever: in the locked test, or among those networks learn from.

    The same content again is the snapshot there is. Raises NotFound for a dataset that is none, Unprocessable
    for one that is not ready, without a name, and where nothing would be in it.
    """
    name = name.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Unprocessable(f"Give the snapshot a name of 1 to {_LONGEST_NAME} characters.")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('snapshots', 0))"))
    names = _names(session, datasets)
    with gathered(session, blobs=blobs, datasets=datasets, reviews=reviews) as left_out:
        holds = held(session, left_out)
        if not holds.images:
            raise Unprocessable("There is no labelled image to take. Bring a dataset, or sign studies first.")
        sha256, test_sha256 = write(session, blobs)
        known = session.scalar(select(Snapshot).where(Snapshot.sha256 == sha256))
        if known is not None:
            _place(session, known)  # patients may have come by further keys
            return Taken(id=known.id, sha256=sha256, created=False)
        counts: dict[str, Any] = asdict(holds) | {"datasets": names}
        taken = Snapshot(
            id=uuid4(),
            name=name,
            sha256=sha256,
            images=counts.pop("images"),
            counts=counts,
            findings=holds.findings,
            test_sha256=test_sha256,
            created_by_name=by.name,
        )
        session.add(taken)
        session.flush()
        session.execute(
            update(Dataset).where(Dataset.id.in_(datasets), Dataset.used_at.is_(None)).values(used_at=now())
        )
        _place(session, taken)
    audit.record(
        session,
        action="snapshot.taken",
        by=by,
        subject_id=taken.id,
        images=taken.images,
        test_patients=holds.patients.get(TEST, 0),
        sha256=sha256[:12],
    )
    return Taken(id=taken.id, sha256=sha256, created=True)


def _names(session: Session, datasets: Sequence[UUID]) -> list[str]:
    rows = session.execute(select(Dataset.name, Dataset.state).where(Dataset.id.in_(datasets))).all()
    if len(rows) != len(set(datasets)):
        raise NotFound("There is no such dataset.")
    if any(row.state != "ready" for row in rows):
        raise Unprocessable("A dataset that is not ready cannot be taken. Wait until it has been inspected.")
    return sorted(row.name for row in rows)


def _place(session: Session, taken: Snapshot) -> None:
    """Whoever judges in the snapshot judges for ever, and whoever learns never judges, by all their keys
    and images.
    """
    judging = kept(LABELS.c.patient_key).where(SPLITS.c.split == TEST).distinct()
    # Also by keys of which nothing is kept now. Who has judged and taught does neither from now on: no run on
    # an older snapshot learns from them.
    met = select(LABELS.c.patient_key).join(SPLITS, SPLITS.c.patient_key == LABELS.c.patient_key).distinct()
    keys = keys_of(met.where(SPLITS.c.split.in_((TEST, BOTH))))
    locked = insert(LockedPatient).from_select(
        ["patient_key", "snapshot_id", "locked_at"],
        keys.add_columns(literal(taken.id), literal(taken.created_at)),
        include_defaults=False,
    )
    session.execute(locked.on_conflict_do_nothing())
    if taken.test_sha256 is not None:
        members = insert(JudgingPatient).from_select(
            ["test_sha256", "patient_key"],
            judging.with_only_columns(literal(taken.test_sha256), LABELS.c.patient_key),
        )
        session.execute(members.on_conflict_do_nothing())
    for split in (TRAIN, VAL):
        learning = keys_of(met.where(SPLITS.c.split == split))
        learned = insert(LearnedPatient).from_select(
            ["patient_key", "split", "snapshot_id"],
            learning.add_columns(literal(split), literal(taken.id)),
        )
        session.execute(learned.on_conflict_do_nothing())
    images = insert(PlacedImage).from_select(
        ["image_sha256", "patient_key", "snapshot_id"],
        select(IMAGES.c.path, IMAGES.c.patient_key, literal(taken.id)),
    )
    session.execute(images.on_conflict_do_nothing())


def fetch_manifest(session: Session, *, snapshot_id: UUID, by: Actor) -> tuple[str, str]:
    """Somebody takes the manifest, which names patients, and that is on record. Returns its sha256 and the
    snapshot's name. Raises NotFound.
    """
    snapshot = session.get(Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    audit.record(
        session,
        action="snapshot.manifest-fetched",
        by=by,
        subject_id=snapshot.id,
        images=snapshot.images,
    )
    return snapshot.sha256, snapshot.name
