"""The other studies of a patient, by the day they were taken and not by when they were sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Select, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from app.records import Study

_Columns = Select[UUID, date | None, str | None, datetime, str, str]
_LISTED = 20
_BESIDE = 2


@dataclass(frozen=True, kw_only=True)
class PriorShown:
    """Another study of the same patient."""

    study_id: UUID
    study_date: date | None
    study_description: str | None
    arrived_at: datetime
    state: str
    purpose: str


def of_patient(session: Session, study: Study) -> tuple[PriorShown, ...]:
    """The 20 other studies of the patient that were taken last, the latest first."""
    return _found(session, study, _others(study).limit(_LISTED))


def taken_before(session: Session, study: Study) -> tuple[PriorShown, ...]:
    """The two latest studies of the patient that were taken before this one, the latest first; of the same
    day those that came before it or were sent as priors.
    """
    day = _taken(literal(study.study_date, Date), literal(study.arrived_at))
    taken = _taken(Study.study_date, Study.arrived_at)
    came_first = or_(Study.purpose == "prior", Study.arrived_at < study.arrived_at)
    earlier = or_(taken < day, and_(taken == day, came_first))
    return _found(session, study, _others(study).where(earlier).limit(_BESIDE))


def _others(study: Study) -> _Columns:
    """No index has this order: the patient's studies are looked up by theirs, and sorted."""
    return (
        select(
            Study.id.label("study_id"),
            Study.study_date,
            Study.study_description,
            Study.arrived_at,
            Study.state,
            Study.purpose,
        )
        .where(
            Study.patient_id == study.patient_id,
            Study.issuer_of_patient_id == study.issuer_of_patient_id,
            Study.id != study.id,
        )
        .order_by(_taken(Study.study_date, Study.arrived_at).desc(), Study.arrived_at.desc())
    )


def _taken(study_date: Any, arrived_at: Any) -> Any:
    """The day a study was taken; of one that does not say, the day it came."""
    return func.coalesce(study_date, cast(arrived_at, Date))


def _found(session: Session, study: Study, statement: _Columns) -> tuple[PriorShown, ...]:
    """None where there is no PatientID to tell patients apart by."""
    if not study.patient_id:
        return ()
    return tuple(PriorShown(**row._mapping) for row in session.execute(statement))
