"""Delete: all studies of one patient are gone from every table, and the proof of it stays without them.

In one transaction: the rows, the patient's lines in snapshots, the record of the deletion, its audit event
and the list of stored bytes that are to go. After the commit `blob_removal.remove_due` removes those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, deletion_learning, deletion_rows
from app.commands.deletion_patient import PatientNamed, keys_of, studies_of
from app.commands.deletion_proof import digest_of, proof_of
from app.commands.deletion_rows import Counts
from app.domain.roles import Actor
from app.errors import Conflict, Unprocessable
from app.records import DatasetFile, Deletion, Study

LONGEST_REASON = 300
_SHORTEST_NAME = 3
"""Shorter parts of names are words too."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What would go, and what would stay."""

    studies: tuple[UUID, ...]
    counts: Counts
    snapshots: int
    """Snapshots that lose images."""
    snapshot_images: int
    keeps_place: bool
    """A locked test, or networks, have met the patient: that stays known, under a keyed hash."""
    dataset_files: int
    """Of datasets that an administrator brought, with the patient's key or the same bytes: they stay."""
    others_of_the_number: int
    """Studies with the same PatientID and another issuer, or none: they stay."""
    others_of_the_name: int
    """Studies of the same name and birth date under another PatientID: they stay."""
    seen: str
    """What was looked at, as a hash: a deletion of anything else is refused."""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What is on record of it."""

    id: UUID
    studies: int
    images: int
    had_place: bool
    """A snapshot had met the patient; then training may keep features of their images too."""
    proof: dict[str, Any]
    """What a file holds by which a restored backup is told; no patient data (`app.records.Deletion`)."""


def look(session: Session, blobs: Blobs, *, patient: PatientNamed, by: Actor) -> Found:
    """What a deletion would take along; nothing is changed, and that somebody looked is on record.

    Raises Unprocessable for what names no single patient, NotFound for one without studies here.
    """
    studies = studies_of(session, patient)
    found = _found(session, blobs, studies)
    audit.record(session, action="patient.deletion-considered", by=by, studies=len(found.studies))
    return found


def delete_patient(
    session: Session, blobs: Blobs, *, patient: PatientNamed, reason: str, seen: str, by: Actor
) -> Deleted:
    """All studies of the patient are gone once the caller's transaction commits, and their stored bytes are
    on the list of `blob_removal`.

    Raises as `look`; Unprocessable without a reason, or with one that names the patient; Conflict where more
    or less would go than was `seen`, or somebody is at work on it. Nothing is changed then.
    """
    with deletion_rows.impatient(session):
        deletion_learning.take_turns(session)
        ids = [study.id for study in studies_of(session, patient)]
        studies = deletion_rows.lock(session, ids)
        if _found(session, blobs, studies).seen != seen:
            raise Conflict("What would go has changed since you looked; nothing was deleted. Look again.")
        words = _checked(reason, studies)
        return _delete(session, blobs, studies, kind="patient", reason=words, by=by)


def delete_again(
    session: Session, blobs: Blobs, *, ids: Sequence[UUID], reason: str, by: Actor, held_too: bool = False
) -> Deleted | None:
    """Those of the studies that a restored backup brought back are gone again; None where there are none.

    `held_too`: the service does not run, so whoever holds a study in the backup does not any more.
    """
    with deletion_rows.impatient(session):
        deletion_learning.take_turns(session)
        studies = deletion_rows.lock(session, ids)
        if not studies:
            return None
        return _delete(session, blobs, studies, kind="patient", reason=reason, by=by, held_too=held_too)


def delete_expired(
    session: Session, blobs: Blobs, *, ids: Sequence[UUID], reason: str, by: Actor
) -> Deleted | None:
    """As `delete_again`, of studies whose time is over; the caller has locked them and knows that they may
    go, and that no snapshot has met their images.
    """
    studies = list(session.scalars(select(Study).where(Study.id.in_(ids))))
    return _delete(session, blobs, studies, kind="retention", reason=reason, by=by) if studies else None


def _delete(
    session: Session,
    blobs: Blobs,
    studies: Sequence[Study],
    *,
    kind: str,
    reason: str,
    by: Actor,
    held_too: bool = False,
) -> Deleted:
    if not held_too:
        deletion_rows.check_nobody_is_at_it(studies)
    ids = [study.id for study in studies]
    images = deletion_rows.images_of(session, ids)
    counted = deletion_rows.counts(session, ids)
    deletion = Deletion(
        id=uuid4(),
        kind=kind,
        reason=reason,
        deleted_by_name=by.name,
        counts=counted.as_json(),
        studies=sorted(map(str, ids)),
        images=images,
    )
    deletion_rows.allow(session)
    keys = keys_of(session, studies)
    had_place = kind != "retention" and deletion_learning.has_place(session, keys=keys, images=images)
    if had_place:
        changes = deletion_learning.rewritings(session, blobs, keys=keys, studies=ids, images=images)
        if not held_too:
            deletion_learning.check_no_work(session, changes)
        deletion_learning.forget(session, blobs, keys=keys, images=images, changes=changes, by=by)
        deletion.counts |= {"snapshots": len(changes), "snapshot_images": sum(one.lost for one in changes)}
    deletion_rows.delete_rows(session, ids)
    session.expunge_all()  # what it holds of the studies is no row any more
    session.add(deletion)
    for study in ids:
        audit.record(session, action="study.deleted", by=by, study_id=study, subject_id=deletion.id)
    audit.record(
        session,
        action="patient.deleted" if kind == "patient" else "retention.applied",
        by=by,
        subject_id=deletion.id,
        reason=reason,
        images_sha256=digest_of(images),
        **deletion.counts,
    )
    session.flush()
    return Deleted(
        id=deletion.id,
        studies=len(ids),
        images=len(images),
        had_place=had_place,
        proof=proof_of(deletion),
    )


def _found(session: Session, blobs: Blobs, studies: Sequence[Study]) -> Found:
    ids = [study.id for study in studies]
    images = deletion_rows.images_of(session, ids)
    keys = keys_of(session, studies)
    keeps_place = deletion_learning.has_place(session, keys=keys, images=images)
    changes = (
        deletion_learning.rewritings(session, blobs, keys=keys, studies=ids, images=images)
        if keeps_place
        else []
    )
    of_datasets = or_(DatasetFile.patient_key.in_(keys), DatasetFile.sha256.in_(images))
    one = studies[0]
    others = Study.id.not_in(ids)
    same_name = (
        func.lower(Study.patient_name) == (one.patient_name or "").lower(),
        Study.patient_birth_date == one.patient_birth_date,
    )

    def count(table: Any, *conditions: Any) -> int:
        return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

    return Found(
        studies=tuple(ids),
        counts=deletion_rows.counts(session, ids),
        snapshots=len(changes),
        snapshot_images=sum(change.lost for change in changes),
        keeps_place=keeps_place,
        dataset_files=count(DatasetFile, of_datasets),
        others_of_the_number=count(Study, others, Study.patient_id == one.patient_id)
        if one.patient_id
        else 0,
        others_of_the_name=count(Study, others, *same_name) if one.patient_name else 0,
        seen=hashlib.sha256("\n".join([*sorted(map(str, ids)), *images]).encode()).hexdigest(),
    )


def _checked(reason: str, studies: Sequence[Study]) -> str:
    words = reason.strip()
    if not words or len(words) > LONGEST_REASON or not words.isprintable():
        raise Unprocessable(f"Give the reason in 1 to {LONGEST_REASON} characters of one line.")
    said = words.casefold()
    for study in studies:
        names = (study.patient_name or "").replace("^", " ").replace("=", " ").split()
        known = [study.patient_id, study.accession_number or "", study.study_instance_uid]
        if any(
            text.casefold() in said
            for text in (*known, *names)
            if len(text) >= _SHORTEST_NAME or (text and not text.isascii())
        ):
            raise Unprocessable(
                "The reason names the patient, and it stays for ever. Say why without saying who: the number "
                "of the request, for example."
            )
    return words
