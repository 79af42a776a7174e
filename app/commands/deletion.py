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
from app.commands.deletion_learning import Rewriting
from app.commands.deletion_patient import PatientNamed, keys_of, studies_of, without_datasets
from app.commands.deletion_proof import digest_of, proof_of
from app.commands.deletion_rows import Counts
from app.commands.words_on_record import name_the_patient
from app.domain.roles import Actor
from app.errors import Conflict, Unprocessable
from app.records import DatasetFile, Deletion, Study

LONGEST_REASON = 300


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


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a deletion does where networks learn."""

    images: list[str]
    keys: set[str]
    own_keys: set[str]
    """Of those that no dataset has."""
    had_place: bool
    changes: list[Rewriting]


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
        deletion_learning.take_turns(session)  # so that no snapshot changes from here on
        named = studies_of(session, patient)
        plan = _plan(session, blobs, named)  # reads manifests: before anybody has to wait for us
        studies = deletion_rows.lock(session, [study.id for study in named])
        images = deletion_rows.images_of(session, [study.id for study in studies])
        as_planned = images == plan.images and keys_of(session, studies) == plan.keys
        if _seen(studies, images) != seen or not as_planned:
            raise Conflict("What would go has changed since you looked; nothing was deleted. Look again.")
        words = _checked(reason, studies)
        return _delete(session, studies, plan, blobs=blobs, kind="patient", reason=words, by=by)


def delete_again(
    session: Session,
    blobs: Blobs,
    *,
    ids: Sequence[UUID],
    kind: str,
    reason: str,
    was: UUID,
    by: Actor,
    held_too: bool = False,
) -> Deleted | None:
    """Those of the studies that a restored backup brought back are gone again, as that `kind` of deletion;
    None where there are none. A reason that names the patient gives way to the id of the deletion it `was`.

    `held_too`: the service does not run, so whoever holds a study in the backup does not any more.
    """
    with deletion_rows.impatient(session):
        deletion_learning.take_turns(session)
        studies = deletion_rows.lock(session, ids)
        if not studies:
            return None
        if kind == "patient" and any(name_the_patient(reason, study) for study in studies):
            reason = f"Deletion {was}."
        plan = _plan(session, blobs, studies, kind=kind)
        return _delete(
            session, studies, plan, blobs=blobs, kind=kind, reason=reason, by=by, held_too=held_too
        )


def delete_expired(
    session: Session, blobs: Blobs, *, ids: Sequence[UUID], reason: str, by: Actor
) -> Deleted | None:
    """As `delete_again`, of studies whose time is over; the caller has locked them and knows that they may
    go, and that no snapshot has met their images.
    """
    studies = list(session.scalars(select(Study).where(Study.id.in_(ids))))
    if not studies:
        return None
    plan = _plan(session, blobs, studies, kind="retention")
    return _delete(session, studies, plan, blobs=blobs, kind="retention", reason=reason, by=by)


def _delete(
    session: Session,
    studies: Sequence[Study],
    plan: _Plan,
    *,
    blobs: Blobs,
    kind: str,
    reason: str,
    by: Actor,
    held_too: bool = False,
) -> Deleted:
    ids, images = [study.id for study in studies], plan.images
    if not held_too:
        deletion_rows.check_nobody_is_at_it(studies)
        deletion_rows.check_nothing_is_sent(session, ids)
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
    if plan.had_place:
        changes = plan.changes
        if not held_too:
            deletion_learning.check_no_work(session, changes)
        deletion_learning.forget(session, blobs, keys=plan.own_keys, images=images, changes=changes, by=by)
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
        had_place=plan.had_place,
        proof=proof_of(deletion),
    )


def _plan(session: Session, blobs: Blobs, studies: Sequence[Study], *, kind: str = "patient") -> _Plan:
    ids = [study.id for study in studies]
    images = deletion_rows.images_of(session, ids)
    keys = keys_of(session, studies)
    own = without_datasets(session, keys)
    # What retention takes leaves the patient's place alone, unless a snapshot has met the images since.
    asked = own if kind == "patient" else set[str]()
    had_place = deletion_learning.has_place(session, keys=asked, images=images)
    changes = (
        deletion_learning.rewritings(session, blobs, keys=own, studies=ids, images=images)
        if had_place
        else []
    )
    return _Plan(images=images, keys=keys, own_keys=own, had_place=had_place, changes=changes)


def _seen(studies: Sequence[Study], images: Sequence[str]) -> str:
    said = [*sorted(str(study.id) for study in studies), *images]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _found(session: Session, blobs: Blobs, studies: Sequence[Study]) -> Found:
    ids = [study.id for study in studies]
    plan = _plan(session, blobs, studies)
    of_datasets = or_(DatasetFile.patient_key.in_(plan.keys), DatasetFile.sha256.in_(plan.images))
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
        snapshots=len(plan.changes),
        snapshot_images=sum(change.lost for change in plan.changes),
        keeps_place=plan.had_place,
        dataset_files=count(DatasetFile, of_datasets),
        others_of_the_number=count(Study, others, Study.patient_id == one.patient_id)
        if one.patient_id
        else 0,
        others_of_the_name=count(Study, others, *same_name) if one.patient_name else 0,
        seen=_seen(studies, plan.images),
    )


def one_line(reason: str) -> str:
    """The reason as it is kept; raises Unprocessable where it is none, or longer than a line."""
    words = reason.strip()
    if not words or len(words) > LONGEST_REASON or not words.isprintable():
        raise Unprocessable(f"Give the reason in 1 to {LONGEST_REASON} characters of one line.")
    return words


def _checked(reason: str, studies: Sequence[Study]) -> str:
    words = one_line(reason)
    if any(name_the_patient(words, study) for study in studies):
        raise Unprocessable(
            "The reason names the patient, and it stays for ever. Say why without saying who: the number "
            "of the request, for example."
        )
    return words
