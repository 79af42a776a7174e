"""Which studies are meant when somebody asks who saw a patient's: the trail itself knows studies only."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.errors import NotFound, Unprocessable
from app.records import AuditEvent, Study

_MOST = 1000
"""Studies of one patient; more are a PatientID that stands for nobody, and are refused."""
_LONGEST = 64
"""Characters of a PatientID, issuer or UID."""


@dataclass(frozen=True, kw_only=True)
class PatientAsked:
    """A patient by PatientID and, where it is given, issuer; or by one of the patient's studies."""

    patient_id: str | None = None
    issuer: str | None = None
    study: str | None = None
    """Our id, or a StudyInstanceUID. Where the study is deleted its id still leads to its events."""


@dataclass(frozen=True, kw_only=True)
class PatientFound:
    """Whose trail it is."""

    study_ids: tuple[UUID, ...]
    """The newest first."""
    others: bool
    """The patient named by a study has others too, which are in here; False where nobody is named."""


def ask(session: Session, *, asked: PatientAsked, by: Actor) -> PatientFound:
    """The patient's studies, and on record that their trail was asked for; without the words of the question.

    A study names its patient: all studies with its PatientID and issuer are meant. Raises Unprocessable for
    what cannot be one, NotFound where nothing is meant.
    """
    patient_id, issuer, study = (
        (text or "").strip() for text in (asked.patient_id, asked.issuer, asked.study)
    )
    if bool(patient_id) == bool(study):
        raise Unprocessable("Give either a patient ID or a study.")
    if max(map(len, (patient_id, issuer, study))) > _LONGEST or "\0" in patient_id + issuer + study:
        raise Unprocessable(f"A patient ID, issuer or UID has at most {_LONGEST} characters.")
    named = (
        _by_study(session, study)
        if study
        else _by_patient(session, patient_id, issuer if asked.issuer else None)
    )
    if not named:
        raise NotFound("No study here is meant by that, and the audit trail tells of none.")
    if len(named) > _MOST:
        raise Unprocessable(f"More than {_MOST} studies have this patient ID. Name the issuer, or a study.")
    audit.record(
        session,
        action="audit.patient-asked",
        by=by,
        study_id=named[0] if len(named) == 1 else None,
        studies=len(named),
    )
    return PatientFound(study_ids=tuple(named), others=bool(study) and len(named) > 1)


def _by_patient(session: Session, patient_id: str, issuer: str | None) -> list[UUID]:
    statement = select(Study.id).where(Study.patient_id == patient_id)
    if issuer is not None:
        statement = statement.where(Study.issuer_of_patient_id == issuer)
    return list(session.scalars(statement.order_by(Study.arrived_at.desc()).limit(_MOST + 1)))


def _by_study(session: Session, text: str) -> list[UUID]:
    try:
        own_id = UUID(text)
    except ValueError:
        own_id = None
    found = session.scalars(
        select(Study).where(or_(Study.id == own_id, Study.study_instance_uid == text)).order_by(Study.id)
    ).all()
    ids: dict[UUID, None] = {}
    for study in found:
        ids[study.id] = None
        if study.patient_id:
            ids |= dict.fromkeys(_by_patient(session, study.patient_id, study.issuer_of_patient_id))
    if not ids and own_id is not None:
        told = session.scalar(select(exists().where(AuditEvent.study_id == own_id)))
        ids = {own_id: None} if told else {}
    return list(ids)
