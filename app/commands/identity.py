"""Identity: which study an image belongs to, and what to do when two things claim one identity.

The same StudyInstanceUID with another patient is never merged. The same SOPInstanceUID with the same pixels
is a header revision, with other pixels a conflict that an administrator resolves. Nothing is dropped.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.commands import audit
from app.commands.ranking import announce, place
from app.dicom.image_header import ImageHeader
from app.domain.order import Credits, Priority
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.domain.states import DONE, READ_BY_NETWORK, State
from app.records import IdentityConflict, Image, Study
from app.records.base import now

HEADER_REVISED = "image.header-revised"
"""The audit action; its detail `changed` is what that changes of patient, side or view, in words."""
ASKED_AGAIN = "study.asked-again"
"""The audit action; its details are `became_current` and `became_stat`."""


def known_study(session: Session, header: ImageHeader) -> Study | None:
    """The study of the same StudyInstanceUID and patient, locked."""
    return session.scalar(
        select(Study)
        .where(
            Study.study_instance_uid == header.study_instance_uid,
            Study.patient_id == (header.patient_id or ""),
            Study.issuer_of_patient_id == (header.issuer_of_patient_id or ""),
            Study.unidentified_as == _unidentified_as(header),
        )
        .with_for_update()
        .execution_options(populate_existing=True),
    )


def new_study(
    header: ImageHeader,
    *,
    asked: Priority,
    purpose: str,
    by: Actor,
    via: str,
    credits: Credits,
    is_sample: bool,
) -> Study:
    """What the header says of its study, placed as not read yet; not in any session."""
    assert header.study_instance_uid is not None
    priority = _priority(header, asked)
    study = Study(
        id=uuid4(),
        study_instance_uid=header.study_instance_uid,
        patient_id=header.patient_id or "",
        issuer_of_patient_id=header.issuer_of_patient_id or "",
        unidentified_as=_unidentified_as(header),
        patient_name=header.patient_name,
        patient_birth_date=header.patient_birth_date,
        patient_sex=header.patient_sex,
        age_years=header.age_years,
        accession_number=header.accession_number,
        study_date=header.study_date,
        study_time=header.study_time,
        study_description=header.study_description,
        referring_physician_name=_text(header.attributes, "00080090"),
        modality=header.modality,
        station_name=header.station_name,
        institution_name=header.institution_name,
        source=by.name,
        received_via=via,
        purpose=purpose,
        is_sample=is_sample,
        priority=priority.value,
        state=State.ADMITTED.value,
        arrived_at=now(),
        screening_due=purpose == "current",
    )
    place(study, network_credit=credits.of_network(None), order_credit=credits.of_order(priority))
    return study


def _unidentified_as(header: ImageHeader) -> str:
    """What tells patients without a PatientID apart, hashed; empty where nothing does or none is needed."""
    if header.patient_id or not (header.patient_name or header.patient_birth_date):
        return ""
    known = f"{(header.patient_name or '').strip().casefold()}|{header.patient_birth_date or ''}"
    return hashlib.sha256(known.encode()).hexdigest()


def _priority(header: ImageHeader, asked: Priority) -> Priority:
    """STAT where the sender, RequestedProcedurePriority (0040,1003) or Priority (0074,1200) says so."""
    words = {
        str(value).strip().upper()
        for tag in ("00401003", "00741200")
        for value in header.attributes.get(tag, {}).get("Value", [])
    }
    return Priority.STAT if asked is Priority.STAT or words & {"STAT", "HIGH"} else Priority.ROUTINE


def _text(attributes: dict[str, Any], tag: str) -> str | None:
    for value in attributes.get(tag, {}).get("Value", []):
        return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value)
    return None


def uid_is_shared(session: Session, study: Study) -> bool:
    """True where another patient's study has the StudyInstanceUID too."""
    others = exists().where(Study.study_instance_uid == study.study_instance_uid, Study.id != study.id)
    return bool(session.scalar(select(others)))


def same_sop_instance(session: Session, header: ImageHeader) -> list[Image]:
    return list(
        session.scalars(
            select(Image).where(
                Image.sop_instance_uid == header.sop_instance_uid,
                Image.superseded_by.is_(None),
            ),
        ),
    )


def flag(
    session: Session,
    study: Study,
    header: ImageHeader,
    *,
    image_id: UUID,
    siblings: list[Image],
    same: list[Image],
    study_is_new: bool,
) -> list[str]:
    """Marks header revisions and writes conflicts; returns what the sender should know, in words.

    `siblings` have the image's SOPInstanceUID, `same` are those of them that show the same picture.
    """
    warnings: list[str] = []
    for sibling in siblings:
        if sibling in same and sibling.study_id == study.id:
            sibling.superseded_by = image_id
            revise(study, header)
            warnings.append(
                sentence("The same picture was known with another header; this one is now shown.")
            )
        else:
            session.add(
                IdentityConflict(
                    kind="same-picture" if sibling in same else "other-pixels",
                    uid=header.sop_instance_uid,
                    study_id=study.id,
                    other_study_id=sibling.study_id,
                    image_id=image_id,
                    other_image_id=sibling.id,
                ),
            )
            warnings.append(
                sentence(
                    "The same picture is known in another study; both are kept and an administrator is told."
                )
                if sibling in same
                else sentence(
                    "Another picture has the same SOPInstanceUID; both are kept and an administrator is told."
                )
            )
    if study_is_new:
        others = session.scalars(
            select(Study.id).where(
                Study.study_instance_uid == study.study_instance_uid, Study.id != study.id
            ),
        ).all()
        for other_id in others:
            session.add(
                IdentityConflict(
                    kind="other-patient",
                    uid=study.study_instance_uid,
                    study_id=study.id,
                    other_study_id=other_id,
                ),
            )
            warnings.append(
                sentence(
                    "Another patient has a study of the same StudyInstanceUID; they are not merged and an "
                    "administrator is told."
                ),
            )
    return warnings


def revise(study: Study, header: ImageHeader) -> None:
    """The study says of its patient and order what the revised header says; silence changes nothing."""
    study.patient_name = header.patient_name or study.patient_name
    study.patient_birth_date = header.patient_birth_date or study.patient_birth_date
    study.patient_sex = header.patient_sex or study.patient_sex
    study.age_years = study.age_years if header.age_years is None else header.age_years
    study.accession_number = header.accession_number or study.accession_number
    study.study_date = header.study_date or study.study_date
    study.study_time = header.study_time or study.study_time
    study.study_description = header.study_description or study.study_description


def asked_again(
    session: Session, study: Study, *, asked: Priority, purpose: str, by: Actor, credits: Credits
) -> None:
    """The same bytes came again: a prior that is now sent to be read is current, and STAT is heard.

    Otherwise a study once sent as a prior would be accepted and never stand on the worklist.
    """
    becomes_current = purpose == "current" and study.purpose == "prior"
    becomes_stat = asked is Priority.STAT and study.priority != Priority.STAT.value
    if purpose == "prior" or not (becomes_current or becomes_stat):
        return
    session.refresh(study, with_for_update=True)
    study.revision += 1
    if study.purpose == "prior":
        study.purpose, study.arrived_at = "current", now()
        study.screening_due, study.screening_attempts, study.screening_not_before = True, 0, None
        study.screening_again_at = None
    if asked is Priority.STAT:
        study.priority = asked.value
    order_credit = max(study.order_credit, credits.of_order(asked))
    place(study, network_credit=study.network_credit, order_credit=order_credit)
    audit.record(
        session,
        action=ASKED_AGAIN,
        by=by,
        study_id=study.id,
        became_current=becomes_current,
        became_stat=becomes_stat,
    )
    announce(session, study)
    session.flush()


def late_image(
    session: Session,
    study: Study,
    header: ImageHeader,
    *,
    revised: tuple[str, ...] | None,
    asked: Priority,
    purpose: str,
    by: Actor,
    credits: Credits,
) -> None:
    """A further image of a known study: it is screened again, and reopened where it was signed.

    A picture known already with another header is no new image: `revised` is what that changes of patient,
    side or view, and only such a change reopens.
    """
    if revised is not None:
        audit.record(session, action=HEADER_REVISED, by=by, study_id=study.id, changed=", ".join(revised))
    study.revision += 1
    study.age_years = study.age_years if study.age_years is not None else header.age_years
    study.patient_name = study.patient_name or header.patient_name
    study.accession_number = study.accession_number or header.accession_number
    study.modality = study.modality or header.modality
    if purpose == "prior":
        return
    if study.purpose == "prior":  # the study itself comes now; it arrives now
        study.purpose, study.arrived_at = "current", now()
    priority = _priority(header, asked)
    if priority is Priority.STAT:
        study.priority = priority.value
    order_credit = max(study.order_credit, credits.of_order(priority))
    unread = credits.of_study(given=study.given_credit, is_read=False)
    place(study, network_credit=unread, order_credit=order_credit)
    if not study.screening_due:  # else an image of it has waited for longer
        study.screening_due, study.screening_again_at = True, now()
    study.screening_attempts, study.screening_not_before = 0, None
    state = State(study.state)
    if state in READ_BY_NETWORK:
        study.state, study.reason = State.ADMITTED.value, None
    elif state in DONE and revised != ():
        study.state = State.REOPENED.value
        said_revised = ", ".join(revised or ())
        study.reason = (
            sentence("A new image arrived after the study was signed.")
            if revised is None
            else sentence(
                f"After the study was signed, an image came again with another header: {said_revised}."
            )
        )
        reason = "new image" if revised is None else "header revision"
        audit.record(session, action="study.reopened", by=by, study_id=study.id, reason=reason)
    elif state is State.CLAIMED and study.state_before_claim in READ_BY_NETWORK:
        study.state_before_claim = State.ADMITTED.value
    session.flush()
