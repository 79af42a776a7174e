"""A deleted patient where networks learn and are judged: their images leave, their place stays.

A snapshot is a manifest with its hash. Of a deleted patient's images the lines leave it, so it gets another
hash, and says how many it lost; the snapshot, its runs and its evaluations stay. A place in the locked test
or among those networks learnt from stays for ever, under a name that a keyed hash alone leads to.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import delete, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, deletion_rows
from app.domain import deleted_patient
from app.domain.roles import SYSTEM, Actor
from app.domain.sentence import sentence
from app.domain.snapshot import SnapshotRow, manifest_lines, read_manifest
from app.errors import Conflict, NotFound
from app.records import (
    DatasetFile,
    DeletedPatientKey,
    Evaluation,
    EvaluationOrder,
    Job,
    JudgingPatient,
    LearnedPatient,
    LockedPatient,
    PlacedImage,
    SiteChoice,
    Snapshot,
    SnapshotExport,
    TrainingRun,
)
from app.records.job import AT_WORK

_KEY_OF_MARKS = "deleted_patients_key"
_LOST = "Images of deleted patients that are in it no more: "
"""How the sentence begins that a snapshot has of them; there is one of it."""
_PLACES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (LockedPatient, ("snapshot_id", "locked_at")),
    (LearnedPatient, ("split", "snapshot_id")),
    (JudgingPatient, ("test_sha256",)),
)


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """A snapshot that holds images of the patient, and what is left of it."""

    snapshot: Snapshot
    rows: list[SnapshotRow]
    lost: int


def take_turns(session: Session) -> None:
    """Until the commit nobody takes a snapshot, which could hold the patient without our knowing."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('snapshots', 0))"))


def has_place(session: Session, *, keys: Collection[str], images: Collection[str]) -> bool:
    """True where a snapshot has ever met the patient, or an image."""
    asked = [select(literal(1)).where(table.patient_key.in_(_known(session, keys))) for table, _ in _PLACES]
    placed = or_(PlacedImage.image_sha256.in_(images), PlacedImage.patient_key.in_(_known(session, keys)))
    asked.append(select(literal(1)).where(placed))
    return any(session.scalar(each.limit(1)) for each in asked)


def rewritings(
    session: Session,
    blobs: Blobs,
    *,
    keys: Collection[str],
    studies: Collection[UUID],
    images: Collection[str],
) -> list[Rewriting]:
    """The snapshots that change; of an image that a dataset has too the line stays."""
    of_datasets = set(session.scalars(select(DatasetFile.sha256).where(DatasetFile.sha256.in_(images))))
    gone, ids = set(images) - of_datasets, {str(study) for study in studies}
    secret = _secret(session)
    names = {key: deleted_patient.name_of(key, secret=secret) for key in keys}
    found = []
    for snapshot in session.scalars(select(Snapshot).order_by(Snapshot.created_at, Snapshot.id)):
        try:
            with blobs.path(snapshot.sha256).open(encoding="utf-8", newline="") as file:
                before = list(read_manifest(file))
        except NotFound:  # it was lost before; there is nothing to take out
            continue
        rows = [
            replace(row, patient_key=names.get(row.patient_key, row.patient_key))
            for row in before
            if row.study_id not in ids and row.path not in gone
        ]
        if rows != before:
            found.append(Rewriting(snapshot=snapshot, rows=rows, lost=len(before) - len(rows)))
    return found


def forget(
    session: Session,
    blobs: Blobs,
    *,
    keys: Collection[str],
    images: Collection[str],
    changes: Sequence[Rewriting],
    by: Actor,
) -> None:
    """The patient's images are in no snapshot, export or picture of a mistake, and their key in no table."""
    for change in changes:
        _rewrite(session, blobs, change, by=by)
    _forget_mistakes(session, set(images))
    for key in sorted(keys):
        _rename(session, key)


def canonical(session: Session, keys: Iterable[str]) -> list[list[str]]:
    """Of those keys each that is a deleted patient's, with the name that stands for them now."""
    known = {row.mark: row.stands_for for row in session.scalars(select(DeletedPatientKey))}
    if not known:
        return []
    secret, groups = _secret(session), []
    for key in keys:
        names = {known[mark] for mark in deleted_patient.marks_asked(key, secret=secret) if mark in known} - {
            key
        }
        if names:
            groups.append([key, *sorted(names)])
    return groups


def forget_features(folder: Path) -> None:
    """What training keeps of pictures, to compute it only once, is gone; it is computed anew."""
    for path in folder.glob("*.npz"):
        path.unlink(missing_ok=True)


def _known(session: Session, keys: Collection[str]) -> set[str]:
    secret = _secret(session)
    return {*keys, *(deleted_patient.name_of(key, secret=secret) for key in keys)}


def check_no_work(session: Session, changes: Sequence[Rewriting]) -> None:
    """Raises Conflict where a worker is at one of the snapshots."""
    snapshots = [change.snapshot.id for change in changes]
    subjects = [
        row
        for table in (TrainingRun, EvaluationOrder, SnapshotExport)
        for row in session.scalars(select(table.id).where(table.snapshot_id.in_(snapshots)))
    ]
    # Locked, so that what waits begins after the commit and finds the snapshot as it is then.
    jobs = session.scalars(
        select(Job)
        .where(Job.subject_id.in_(subjects), Job.state.in_(AT_WORK))
        .order_by(Job.sequence)
        .with_for_update()
    ).all()
    if any(job.state == "running" for job in jobs):
        raise Conflict(
            "The training worker is at work on a snapshot that holds images of the patient; nothing was "
            "deleted. Wait until it is done, or cancel it."
        )


def _rewrite(session: Session, blobs: Blobs, change: Rewriting, *, by: Actor) -> None:
    snapshot, before = change.snapshot, change.snapshot.sha256
    said = "".join(manifest_lines(change.rows))
    while True:  # an empty line is no row: what is left may be just what another snapshot holds
        said += "\n"
        sha256 = blobs.put(said.encode())
        if session.scalar(select(Snapshot.id).where(Snapshot.sha256 == sha256)) is None:
            break
    session.execute(
        update(Snapshot)
        .where(Snapshot.id == snapshot.id)
        .values(
            sha256=sha256,
            images=len(change.rows),
            counts=snapshot.counts | _counts(change, snapshot.counts),
        )
        .execution_options(synchronize_session=False)
    )
    exports = session.execute(
        select(SnapshotExport.id, SnapshotExport.sha256).where(
            SnapshotExport.snapshot_id == snapshot.id, SnapshotExport.sha256.is_not(None)
        )
    ).all()
    made = [row.id for row in exports]
    session.execute(delete(Job).where(Job.subject_id.in_(made)))
    session.execute(delete(SnapshotExport).where(SnapshotExport.id.in_(made)))
    deletion_rows.remove(session, [before, *(row.sha256 for row in exports)])
    audit.record(
        session,
        action="snapshot.images-deleted",
        by=by,
        subject_id=snapshot.id,
        images=change.lost,
        exports=len(exports),
        was=before[:12],
        sha256=sha256[:12],
    )


def _counts(change: Rewriting, before: dict[str, Any]) -> dict[str, Any]:
    splits: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    patients: dict[str, set[str]] = {}
    reviewers: dict[str, int] = {}
    for row in change.rows:
        for told, what in ((splits, row.label), (sources, row.source)):
            of_split = told.setdefault(row.split, {})
            of_split[what] = of_split.get(what, 0) + 1
        patients.setdefault(row.split, set()).add(row.patient_key)
        if row.reviewer:
            reviewers[row.reviewer] = reviewers.get(row.reviewer, 0) + 1
    lost = change.lost + int(before.get("deleted", 0))
    left_out = [told for told in before.get("left_out", []) if not told.startswith(_LOST)]
    return {
        "splits": splits,
        "sources": sources,
        "patients": {split: len(found) for split, found in patients.items()},
        "reviewers": reviewers,
        "blind": sum(row.blind == "1" for row in change.rows),
        "deleted": lost,
        "left_out": [
            *left_out,
            sentence(f"Images of deleted patients that are in it no more: {lost}."),
        ],
    }


def _forget_mistakes(session: Session, images: set[str]) -> None:
    for evaluation in session.scalars(select(Evaluation)):
        detail = evaluation.outcome.get("detail", {})
        mistakes = detail.get("mistakes", [])
        kept = [one for one in mistakes if one.get("sha256") not in images]
        if len(kept) == len(mistakes):
            continue
        pictures = [one.get("picture_sha256") for one in mistakes if one.get("sha256") in images]
        deletion_rows.remove(session, [picture for picture in pictures if picture])
        outcome = evaluation.outcome | {"detail": detail | {"mistakes": kept}}
        session.execute(
            update(Evaluation)
            .where(Evaluation.id == evaluation.id)
            .values(outcome=outcome)
            .execution_options(synchronize_session=False)
        )


def _rename(session: Session, key: str) -> None:
    """Whatever place the key has is its name's from now on."""
    secret = _secret(session)
    name = deleted_patient.name_of(key, secret=secret)
    if name == key:
        return
    had = 0
    for table, others in _PLACES:
        columns = [getattr(table, column) for column in others]
        moved = insert(table).from_select(
            ["patient_key", *others],
            select(literal(name), *columns).where(table.patient_key == key),
            include_defaults=False,
        )
        session.execute(moved.on_conflict_do_nothing())
        gone = session.execute(
            delete(table).where(table.patient_key == key).execution_options(synchronize_session=False)
        )
        had += gone.rowcount  # type: ignore[attr-defined]
    placed = session.execute(
        update(PlacedImage)
        .where(PlacedImage.patient_key == key)
        .values(patient_key=name)
        .execution_options(synchronize_session=False)
    )
    if had + placed.rowcount:  # type: ignore[attr-defined]
        marks = deleted_patient.marks_kept(key, secret=secret)
        kept = insert(DeletedPatientKey).values([{"mark": mark, "stands_for": name} for mark in marks])
        session.execute(kept.on_conflict_do_nothing())


def _secret(session: Session) -> str:
    """The site's own; made when it is first needed."""
    made = insert(SiteChoice).values(
        name=_KEY_OF_MARKS, value=secrets.token_hex(32), chosen_by_name=SYSTEM.name
    )
    session.execute(made.on_conflict_do_nothing())
    return str(session.scalar(select(SiteChoice.value).where(SiteChoice.name == _KEY_OF_MARKS)))
