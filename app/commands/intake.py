"""Admit: the one command behind every way in.

A file is read (header only), its bytes are kept (fsynced, by sha256), its rows are written; after the caller's
commit the bell rings. The admitted row is its own outbox, so a lost bell only costs a sweep's interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.blobs import Blobs, StagedFile
from app.commands import audit
from app.commands.ranking import announce, place
from app.dicom.header import ImageHeader, read_header
from app.domain.order import Credits, Priority
from app.domain.roles import Actor
from app.domain.states import DONE, READ_BY_NETWORK, State
from app.errors import Conflict, UidContradiction
from app.records import IdentityConflict, Image, Study
from app.records.base import now

PNG_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage: what a PNG or JPEG is shown as over DICOMweb."""


@dataclass(frozen=True, kw_only=True)
class GivenMetadata:
    """What the sender says of files that cannot say it themselves; ages in years."""

    patient_id: str | None = None
    patient_name: str | None = None
    accession_number: str | None = None
    age_years: float | None = None
    sex: str | None = None
    view: str | None = None
    priority: Priority = Priority.ROUTINE
    purpose: str = "current"


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A staged file whose header could be read."""

    staged: StagedFile
    header: ImageHeader
    file_name: str | None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What became of one file: `created` is False where the same bytes had been admitted before."""

    study_id: UUID
    image_id: UUID
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    created: bool
    needs_screening: bool
    warnings: tuple[str, ...] = ()


def read(staged: StagedFile, *, file_name: str | None, study_instance_uid: str | None = None) -> Readable:
    """Reads the staged file's header; nothing is stored yet.

    Raises NotAnImage, Unreadable or TooLarge, and UidContradiction when the file names another study than
    `study_instance_uid`.
    """
    header = read_header(staged.path)
    if study_instance_uid is not None and header.study_instance_uid != study_instance_uid:
        raise UidContradiction(
            "The instance's StudyInstanceUID is not the one in the address. Send it to its own study."
        )
    return Readable(staged=staged, header=header, file_name=file_name)


def admit(
    session: Session,
    blobs: Blobs,
    *,
    file: Readable,
    given: GivenMetadata,
    by: Actor,
    via: str,
    credits: Credits,
    is_sample: bool = False,
) -> Admission:
    """The file is safe and its study is on the worklist once the caller's transaction commits.

    The same bytes again create nothing. Raises Conflict where the bytes are known under another patient than
    the sender names. Ring `queue.SCREEN` with the study's id after the commit where `needs_screening`.
    """
    sha256 = file.staged.sha256
    known = _known(session, sha256=sha256, given=given)
    if known is not None:
        return known
    blobs.keep(file.staged)
    header = _with_given(file.header, given)
    # Senders of one study come in parallel; they take turns from here to the commit.
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:uid, 0))"),
        {"uid": header.study_instance_uid or sha256},
    )
    study, study_is_new = _study_of(
        session, header, given=given, by=by, via=via, credits=credits, is_sample=is_sample
    )
    siblings = _same_sop_instance(session, header)
    image_id = session.scalar(
        insert(Image)
        .values(_image_values(header, study=study, sha256=sha256, file=file, by=by, via=via))
        .on_conflict_do_nothing(index_elements=["sha256"])
        .returning(Image.id),
    )
    if image_id is None:  # the same bytes won the race in another transaction
        if study_is_new:
            session.delete(study)
            session.flush()
        again = _known(session, sha256=sha256, given=given)
        if again is None:
            raise Conflict("The same file is being admitted at this moment. Send it again.")
        return again
    warnings = _flag(session, study, header, image_id=image_id, siblings=siblings, study_is_new=study_is_new)
    if not study_is_new:
        _late_image(session, study, header, given=given, by=by, credits=credits)
    audit.record(
        session,
        action="image.admitted",
        by=by,
        study_id=study.id,
        subject_id=image_id,
        sha256=sha256,
        via=via,
        bytes=file.staged.size,
        media_type=header.media_type,
    )
    announce(session, study)
    return Admission(
        study_id=study.id,
        image_id=image_id,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=header.series_instance_uid or "",
        sop_class_uid=header.sop_class_uid or PNG_SOP_CLASS,
        sop_instance_uid=header.sop_instance_uid or "",
        sha256=sha256,
        created=True,
        needs_screening=study.screening_due,
        warnings=tuple(warnings),
    )


def _known(session: Session, *, sha256: str, given: GivenMetadata) -> Admission | None:
    row = session.execute(
        select(Image, Study).join(Study, Study.id == Image.study_id).where(Image.sha256 == sha256),
    ).one_or_none()
    if row is None:
        return None
    image, study = row
    if given.patient_id and study.patient_id and given.patient_id != study.patient_id:
        raise Conflict(
            "These very bytes were admitted before for another patient. If that was a mistake, an administrator "
            "must correct it; a second radiograph never has the same bytes.",
            study=str(study.id),
        )
    return Admission(
        study_id=study.id,
        image_id=image.id,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
        sha256=sha256,
        created=False,
        needs_screening=study.screening_due,
    )


def _with_given(header: ImageHeader, given: GivenMetadata) -> ImageHeader:
    """A DICOM header speaks for itself; a PNG or JPEG gets what the sender says, and UIDs of its own."""
    if header.media_type == "application/dicom":
        return header
    return replace(
        header,
        study_instance_uid=_new_uid(),
        series_instance_uid=_new_uid(),
        sop_instance_uid=_new_uid(),
        sop_class_uid=PNG_SOP_CLASS,
        patient_id=given.patient_id,
        patient_name=given.patient_name,
        accession_number=given.accession_number,
        age_years=given.age_years,
        patient_sex=given.sex,
        view_position=given.view,
    )


def _new_uid() -> str:
    return f"2.25.{uuid4().int}"


def _study_of(
    session: Session,
    header: ImageHeader,
    *,
    given: GivenMetadata,
    by: Actor,
    via: str,
    credits: Credits,
    is_sample: bool,
) -> tuple[Study, bool]:
    """The study of the same StudyInstanceUID and patient, locked; or a new one."""
    study = session.scalar(
        select(Study)
        .where(
            Study.study_instance_uid == header.study_instance_uid,
            Study.patient_id == (header.patient_id or ""),
            Study.issuer_of_patient_id == (header.issuer_of_patient_id or ""),
        )
        .with_for_update(),
    )
    if study is not None:
        return study, False
    assert header.study_instance_uid is not None  # noqa: S101  (read_header and _with_given see to it)
    priority = _priority(header, given)
    study = Study(
        id=uuid4(),
        study_instance_uid=header.study_instance_uid,
        patient_id=header.patient_id or "",
        issuer_of_patient_id=header.issuer_of_patient_id or "",
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
        purpose=given.purpose,
        is_sample=is_sample,
        priority=priority.value,
        arrived_at=now(),
        screening_due=given.purpose == "current",
    )
    place(study, network_credit=credits.of_network(None), order_credit=credits.of_order(priority))
    session.add(study)
    session.flush()
    return study, True


def _priority(header: ImageHeader, given: GivenMetadata) -> Priority:
    """STAT where the sender, RequestedProcedurePriority (0040,1003) or Priority (0074,1200) says so."""
    words = {
        str(value).strip().upper()
        for tag in ("00401003", "00741200")
        for value in header.attributes.get(tag, {}).get("Value", [])
    }
    return Priority.STAT if given.priority is Priority.STAT or words & {"STAT", "HIGH"} else Priority.ROUTINE


def _text(attributes: dict[str, Any], tag: str) -> str | None:
    for value in attributes.get(tag, {}).get("Value", []):
        return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value)
    return None


def _image_values(
    header: ImageHeader, *, study: Study, sha256: str, file: Readable, by: Actor, via: str
) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "study_id": study.id,
        "sha256": sha256,
        "byte_size": file.staged.size,
        "media_type": header.media_type,
        "file_name": Path(file.file_name).name[:255] if file.file_name else None,
        "sop_instance_uid": header.sop_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "series_instance_uid": header.series_instance_uid,
        "transfer_syntax_uid": header.transfer_syntax_uid,
        "pixel_sha256": header.pixel_sha256,
        "rows": header.rows,
        "columns": header.columns,
        "modality": header.modality,
        "view_position": header.view_position,
        "header": header_as_json(header),
        "attributes": header.attributes,
        "arrived_at": now(),
        "source": by.name,
        "received_via": via,
    }


def header_as_json(header: ImageHeader) -> dict[str, Any]:
    """The header without `attributes`, as JSON holds it; `header_from_json` is its inverse."""
    values = asdict(replace(header, attributes={}))
    del values["attributes"]
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def header_from_json(values: dict[str, Any]) -> ImageHeader:
    """The header that `header_as_json` wrote, with empty `attributes`."""
    known = dict(values, attributes={})
    for name in ("patient_birth_date", "study_date"):
        known[name] = date.fromisoformat(known[name]) if known[name] else None
    for name in ("pixel_spacing", "imager_pixel_spacing"):
        known[name] = tuple(known[name]) if known[name] else None
    return ImageHeader(**known)


def _same_sop_instance(session: Session, header: ImageHeader) -> list[Image]:
    return list(
        session.scalars(
            select(Image).where(
                Image.sop_instance_uid == header.sop_instance_uid,
                Image.superseded_by.is_(None),
            ),
        ),
    )


def _flag(
    session: Session,
    study: Study,
    header: ImageHeader,
    *,
    image_id: UUID,
    siblings: list[Image],
    study_is_new: bool,
) -> list[str]:
    """Marks header revisions and writes conflicts; returns what the sender should know, in words."""
    warnings: list[str] = []
    for sibling in siblings:
        if sibling.pixel_sha256 == header.pixel_sha256 and sibling.study_id == study.id:
            sibling.superseded_by = image_id
            warnings.append("The same picture was known with another header; this one is now shown.")
        else:
            session.add(
                IdentityConflict(
                    kind="other-pixels",
                    uid=header.sop_instance_uid,
                    study_id=study.id,
                    other_study_id=sibling.study_id,
                    image_id=image_id,
                    other_image_id=sibling.id,
                ),
            )
            warnings.append(
                "Another picture has the same SOPInstanceUID; both are kept and an administrator is told."
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
                "Another patient has a study of the same StudyInstanceUID; they are not merged and an "
                "administrator is told.",
            )
    return warnings


def _late_image(
    session: Session, study: Study, header: ImageHeader, *, given: GivenMetadata, by: Actor, credits: Credits
) -> None:
    """A further image of a known study: it is screened again, and reopened where it was signed."""
    study.revision += 1
    study.age_years = study.age_years if study.age_years is not None else header.age_years
    study.patient_name = study.patient_name or header.patient_name
    study.accession_number = study.accession_number or header.accession_number
    study.modality = study.modality or header.modality
    if given.purpose == "prior":
        return
    if study.purpose == "prior":  # the study itself comes now; it arrives now
        study.purpose, study.arrived_at = "current", now()
    priority = _priority(header, given)
    if priority is Priority.STAT:
        study.priority = priority.value
    order_credit = max(study.order_credit, credits.of_order(priority))
    place(study, network_credit=study.network_credit, order_credit=order_credit)
    study.screening_due, study.screening_attempts, study.screening_not_before = True, 0, None
    state = State(study.state)
    if state in READ_BY_NETWORK:
        study.state, study.reason = State.ADMITTED.value, None
    elif state in DONE:
        study.state, study.reason = State.REOPENED.value, "A new image arrived after the study was signed."
        audit.record(session, action="study.reopened", by=by, study_id=study.id, reason="new image")
    elif state is State.CLAIMED and study.state_before_claim in READ_BY_NETWORK:
        study.state_before_claim = State.ADMITTED.value
    session.flush()
