"""Admit: the one command behind every way in.

A file is read (header only), its rows are written, its bytes are kept (fsynced, by sha256); after the
caller's commit the bell rings. The admitted row is its own outbox, so a lost bell costs a sweep's interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs, StagedFile
from app.commands import audit, identity, revisions
from app.commands.news import admit_news
from app.commands.ranking import announce
from app.commands.stored_header import header_as_json
from app.dicom.header import DICOM, ImageHeader, read_header
from app.domain.order import Credits, Priority
from app.domain.roles import Actor
from app.errors import Conflict, UidContradiction
from app.records import Image, Study
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
    """What became of one file: `created` is False where the same bytes had been admitted before,
    `uid_is_shared` True where another patient's study had the StudyInstanceUID at that moment.
    """

    study_id: UUID
    image_id: UUID
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    created: bool
    needs_screening: bool
    uid_is_shared: bool
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

    The same bytes again create nothing; at most they make a prior current or an order STAT. Raises Conflict
    where the bytes are known under another patient than the sender names. Ring `queue.SCREEN` with the
    study's id after the commit where `needs_screening`.
    """
    admission = _admit(
        session, blobs, file=file, given=given, by=by, via=via, credits=credits, is_sample=is_sample
    )
    blobs.keep(file.staged)
    return admission


def _admit(
    session: Session,
    blobs: Blobs,
    *,
    file: Readable,
    given: GivenMetadata,
    by: Actor,
    via: str,
    credits: Credits,
    is_sample: bool,
) -> Admission:
    """The rows of `admit`, written while the disk may still be busy with the bytes."""
    sha256 = file.staged.sha256
    header = _with_given(file.header, given)
    study = identity.new_study(
        header,
        asked=given.priority,
        purpose=given.purpose,
        by=by,
        via=via,
        credits=credits,
        is_sample=is_sample,
    )
    image = _new_image(header, study_id=study.id, sha256=sha256, file=file, by=by, via=via)
    event = audit.event_of(
        action="image.admitted",
        by=by,
        study_id=study.id,
        subject_id=image.id,
        details={
            "sha256": sha256,
            "via": via,
            "bytes": file.staged.size,
            "media_type": header.media_type,
        },
    )
    if admit_news(session, study=study, image=image, event=event):
        return _admission(study, image, created=True)
    known = _known(session, header, sha256=sha256, given=given, by=by, credits=credits)
    if known is not None:
        return known
    found = identity.known_study(session, header)
    if found is None:
        session.add(study)
        session.flush()
    else:
        study = found
        image.study_id = event.study_id = study.id
    siblings = identity.same_sop_instance(session, header)
    same = revisions.same_picture(blobs, siblings, file.staged.path)
    revised = revisions.revision_of([one for one in same if one.study_id == study.id], header)
    session.add_all([image, event])
    session.flush()
    warnings = identity.flag(
        session,
        study,
        header,
        image_id=image.id,
        siblings=siblings,
        same=same,
        study_is_new=found is None,
    )
    if found is not None:
        identity.late_image(
            session,
            study,
            header,
            revised=revised,
            asked=given.priority,
            purpose=given.purpose,
            by=by,
            credits=credits,
        )
    announce(session, study)
    shared = identity.uid_is_shared(session, study)
    return _admission(study, image, created=True, shared=shared, warnings=tuple(warnings))


def _admission(
    study: Study, image: Image, *, created: bool, shared: bool = False, warnings: tuple[str, ...] = ()
) -> Admission:
    return Admission(
        study_id=study.id,
        image_id=image.id,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
        sha256=image.sha256,
        created=created,
        needs_screening=study.screening_due,
        uid_is_shared=shared,
        warnings=warnings,
    )


def _known(
    session: Session, header: ImageHeader, *, sha256: str, given: GivenMetadata, by: Actor, credits: Credits
) -> Admission | None:
    row = session.execute(
        select(Image, Study).join(Study, Study.id == Image.study_id).where(Image.sha256 == sha256),
    ).one_or_none()
    if row is None:
        return None
    image, study = row
    is_dicom = image.media_type == DICOM  # then the header speaks for itself, now as at first
    if not is_dicom and given.patient_id and study.patient_id and given.patient_id != study.patient_id:
        raise Conflict(
            "These very bytes were admitted before for another patient. If that was a mistake, an "
            "administrator must correct it; a second radiograph never has the same bytes.",
            study=str(study.id),
        )
    identity.asked_again(session, study, asked=given.priority, purpose=given.purpose, by=by, credits=credits)
    warnings = _not_taken_over(image, study, given)
    if is_dicom and revisions.restore(
        session,
        image=image,
        study=study,
        header=header,
        asked=given.priority,
        purpose=given.purpose,
        by=by,
        credits=credits,
    ):
        announce(session, study)
        warnings += (revisions.SHOWN_AGAIN,)
    shared = identity.uid_is_shared(session, study)
    return _admission(study, image, created=False, shared=shared, warnings=warnings)


def _not_taken_over(image: Image, study: Study, given: GivenMetadata) -> tuple[str, ...]:
    """A sender who corrects what they said of a PNG or JPEG must not believe that it was heard."""
    said_and_known = (
        (given.patient_id, study.patient_id),
        (given.patient_name, study.patient_name),
        (given.accession_number, study.accession_number),
        (given.age_years, study.age_years),
        (given.sex, study.patient_sex),
        (given.view, image.view_position),
    )
    if image.media_type == DICOM or all(said is None or said == known for said, known in said_and_known):
        return ()
    return (revisions.NOT_TAKEN_OVER,)


def _with_given(header: ImageHeader, given: GivenMetadata) -> ImageHeader:
    """A DICOM header speaks for itself; a PNG or JPEG gets what the sender says, and UIDs of its own."""
    if header.media_type == DICOM:
        return header
    study, series, instance = (f"2.25.{uuid4().int}" for _ in range(3))
    return replace(
        header,
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        sop_class_uid=PNG_SOP_CLASS,
        patient_id=given.patient_id,
        patient_name=given.patient_name,
        accession_number=given.accession_number,
        age_years=given.age_years,
        patient_sex=given.sex,
        view_position=given.view,
    )


def _new_image(
    header: ImageHeader, *, study_id: UUID, sha256: str, file: Readable, by: Actor, via: str
) -> Image:
    return Image(
        id=uuid4(),
        study_id=study_id,
        sha256=sha256,
        byte_size=file.staged.size,
        media_type=header.media_type,
        file_name=Path(file.file_name).name[:255] if file.file_name else None,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        rows=header.rows,
        columns=header.columns,
        modality=header.modality,
        view_position=header.view_position,
        header=header_as_json(header),
        attributes=header.attributes,
        arrived_at=now(),
        source=by.name,
        received_via=via,
    )
