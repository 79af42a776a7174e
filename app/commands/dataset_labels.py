"""What people decide about the files of a dataset: another label, left out, used although withheld. What was
brought stays on the row.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.commands import audit
from app.commands.datasets import check_unused, locked
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.errors import Conflict, NotFound, Unprocessable
from app.records import DatasetFile
from app.records.base import now

LONGEST_LABEL = 60
_SPLITS = ("test", "val", "train")
_BEFORE = "outcome_before"
"""Fact of a file that was left out: what becomes of it once it has a label again."""


def set_label(session: Session, *, dataset_id: UUID, file_id: UUID, label: str, by: Actor) -> None:
    """The file's label is this one from now on; what was brought stays on the row.

    Raises NotFound, Unprocessable for an empty or overlong label, and Conflict while it is inspected.
    """
    label = " ".join(label.split())
    if not label or len(label) > LONGEST_LABEL:
        raise Unprocessable(f"A label has at most {LONGEST_LABEL} characters, and at least one.")
    file = _inspected(session, dataset_id, file_id)
    if file.label == label and (file.decision, file.decided_by_name) == ("relabelled", by.name):
        return  # the same press again
    before, file.label = file.label, label
    if file.outcome == "left-out":
        file.outcome, file.reason = file.facts.get(_BEFORE, "usable"), None
    if file.outcome == "usable":
        file.doubt = None  # it was of the label before
    _decide(file, "relabelled", by=by)
    audit.record(
        session,
        action="dataset.label-set-right",
        by=by,
        subject_id=file.dataset_id,
        file=str(file.id),
        before=before,
        after=label,
    )


def leave_out(session: Session, *, dataset_id: UUID, file_id: UUID, by: Actor) -> None:
    """No snapshot takes the file. Raises as `set_label` does, and Conflict where none would anyway."""
    file = _inspected(session, dataset_id, file_id)
    if file.outcome == "left-out":
        return  # by the same press, or a colleague
    if file.outcome not in ("usable", "contradicting"):
        raise Conflict("The file is not used anyway.")
    _leave_out(file, by=by)
    audit.record(
        session, action="dataset.file-left-out", by=by, subject_id=file.dataset_id, file=str(file.id)
    )


def take_in_withheld(session: Session, *, dataset_id: UUID, by: Actor) -> int:
    """Files that the gate withholds are used nevertheless once it is inspected again; returns how many."""
    dataset = locked(session, dataset_id)
    if dataset.state == "inspecting":
        raise Conflict("The dataset is being inspected. Wait until that is over.")
    check_unused(dataset)
    taken = session.scalars(
        update(DatasetFile)
        .where(DatasetFile.dataset_id == dataset_id, DatasetFile.outcome == "withheld")
        .values(taken_in=True, decision="taken-in", decided_by_name=by.name, decided_at=now())
        .returning(DatasetFile.id)
    ).all()
    audit.record(session, action="dataset.withheld-taken-in", by=by, subject_id=dataset_id, files=len(taken))
    return len(taken)


def keep_in_one_split(session: Session, *, dataset_id: UUID, by: Actor) -> int:
    """Patients who are in several splits stay in one, the test before val before train: their other pictures
    are left out. Returns how many; the dataset is then to be inspected again.

    Raises NotFound, and Conflict while it is inspected or once a snapshot uses it.
    """
    dataset = locked(session, dataset_id)
    if dataset.state == "inspecting":
        raise Conflict("The dataset is being inspected. Wait until that is over.")
    check_unused(dataset)
    own = (
        DatasetFile.dataset_id == dataset_id,
        DatasetFile.outcome == "usable",
        DatasetFile.split.is_not(None),
        DatasetFile.patient_key.is_not(None),
    )
    several = (
        select(DatasetFile.patient_key)
        .where(*own)
        .group_by(DatasetFile.patient_key)
        .having(func.count(DatasetFile.split.distinct()) > 1)
    )
    files = session.scalars(
        select(DatasetFile).where(*own, DatasetFile.patient_key.in_(several)).with_for_update()
    ).all()
    stays: dict[str, str] = {}
    for file in files:
        known = stays.get(str(file.patient_key), "train")
        stays[str(file.patient_key)] = min(known, str(file.split), key=_SPLITS.index)
    left_out = [file for file in files if file.split != stays[str(file.patient_key)]]
    for file in left_out:
        _leave_out(file, by=by)
    audit.record(
        session, action="dataset.kept-in-one-split", by=by, subject_id=dataset_id, files=len(left_out)
    )
    return len(left_out)


def _leave_out(file: DatasetFile, *, by: Actor) -> None:
    file.facts = file.facts | {_BEFORE: file.outcome}
    file.outcome, file.reason = "left-out", sentence("An administrator left it out.")
    _decide(file, "left-out", by=by)


def _inspected(session: Session, dataset_id: UUID, file_id: UUID) -> DatasetFile:
    if locked(session, dataset_id).state not in ("ready", "refused"):
        raise Conflict("The dataset is not inspected. Set labels right once that is done.")
    file = session.get(DatasetFile, file_id, with_for_update=True)
    if file is None or file.dataset_id != dataset_id:
        raise NotFound("There is no such file in the dataset.")
    return file


def _decide(file: DatasetFile, decision: str, *, by: Actor) -> None:
    file.decision, file.decided_by_name, file.decided_at = decision, by.name, now()
