"""Who is meant when somebody says a patient, and by which keys snapshots know them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from app.domain import patient_key
from app.errors import NotFound, Unprocessable
from app.records import DatasetFile, Study

_LONGEST = 64
"""Characters of a PatientID, issuer or UID."""


@dataclass(frozen=True, kw_only=True)
class PatientNamed:
    """A patient by PatientID and issuer, or by one of the patient's studies."""

    patient_id: str | None = None
    issuer: str | None = None
    """None where nobody said: then the PatientID must be of one issuer alone. Empty: without one."""
    study: str | None = None
    """Our id, or a StudyInstanceUID."""


def studies_of(session: Session, patient: PatientNamed) -> list[Study]:
    """All studies of the one patient that is named.

    Raises Unprocessable for what names no single patient, NotFound for one without studies here.
    """
    patient_id, issuer, study = (
        (given or "").strip() for given in (patient.patient_id, patient.issuer, patient.study)
    )
    if bool(patient_id) == bool(study):
        raise Unprocessable("Give either a patient ID or a study.")
    if max(map(len, (patient_id, issuer, study))) > _LONGEST or "\0" in patient_id + issuer + study:
        raise Unprocessable(f"A patient ID, issuer or UID has at most {_LONGEST} characters.")
    which = Study.patient_id == patient_id
    if study:
        which = _is_study(study)
    elif patient.issuer is not None:
        which &= Study.issuer_of_patient_id == issuer
    named = session.scalars(select(Study).where(which)).all()
    identities = {(row.patient_id, row.issuer_of_patient_id, row.unidentified_as) for row in named}
    if not named:
        raise NotFound("No study here is of that patient.")
    if len(identities) > 1:
        raise Unprocessable(
            "Several patients have that study, or that patient ID from several issuers. Name the patient ID "
            "with its issuer."
        )
    if identities == {("", "", "")}:
        return list(named)  # nobody knows whose they are: one study alone
    identity = tuple_(Study.patient_id, Study.issuer_of_patient_id, Study.unidentified_as)
    return list(session.scalars(select(Study).where(identity.in_(list(identities))).order_by(Study.id)))


def keys_of(session: Session, studies: Sequence[Study]) -> set[str]:
    """The keys in snapshots that go with the studies: those that no other study has. The PatientID without
    its issuer is one too.
    """
    ids = [study.id for study in studies]
    keys = set()
    for study in studies:
        others = select(Study.id).where(Study.id.not_in(ids), Study.patient_id == study.patient_id).limit(1)
        same = others.where(
            Study.issuer_of_patient_id == study.issuer_of_patient_id,
            Study.unidentified_as == study.unidentified_as,
        )
        nobody = not study.patient_id and not study.unidentified_as
        if nobody or session.scalar(same) is None:
            keys.add(
                patient_key.of_study(
                    patient_id=study.patient_id,
                    issuer=study.issuer_of_patient_id,
                    unidentified_as=study.unidentified_as,
                    study_id=study.id,
                )
            )
        if study.issuer_of_patient_id and study.patient_id.strip() and session.scalar(others) is None:
            keys.add(study.patient_id.strip())
    return keys


def without_datasets(session: Session, keys: Collection[str]) -> set[str]:
    """Those of the keys that no dataset has: one that an administrator brought may be of another hospital,
    where the same number is somebody else, and it tells the key anyway.
    """
    theirs = select(DatasetFile.patient_key).where(DatasetFile.patient_key.in_(keys))
    return set(keys) - set(session.scalars(theirs))


def _is_study(text: str) -> ColumnElement[bool]:
    try:
        return Study.id == UUID(text)
    except ValueError:
        return Study.study_instance_uid == text
