"""Admission: what is kept, what is refused, and who belongs to whom."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands.intake import Admission, GivenMetadata, read
from app.domain.order import Credits, Priority
from app.errors import Conflict, NotAnImage, UidContradiction
from app.records import AuditEvent, IdentityConflict, Image, Study
from tests.builders import (
    MAX_BYTES,
    a_dicom,
    a_png,
    admit,
)

_UID = "2.25.4711"


def test_an_admitted_image_is_safe_and_on_the_worklist(session: Session, blobs: Blobs) -> None:
    data = a_dicom(patient_age="003Y", patient_id="Ada")
    admission = admit(session, blobs, data, file_name="ada.dcm")

    assert admission.created
    assert admission.needs_screening
    assert blobs.read(admission.sha256) == data
    assert admission.sha256 == hashlib.sha256(data).hexdigest()
    study = session.get_one(Study, admission.study_id)
    assert (study.state, study.patient_id, study.age_years) == ("admitted", "Ada", 3.0)
    assert study.arrived_at - study.rank_at == Credits().unknown
    [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "image.admitted"))
    assert event.study_id == study.id
    assert "Ada" not in str(event.details)


def test_the_same_bytes_again_create_nothing(session: Session, blobs: Blobs) -> None:
    data = a_dicom()
    first = admit(session, blobs, data)
    again = admit(session, blobs, data)

    assert not again.created
    assert (again.study_id, again.image_id) == (first.study_id, first.image_id)
    assert session.scalar(select(func.count(Image.id))) == 1
    assert session.scalar(select(func.count(Study.id))) == 1


def test_images_of_one_study_are_grouped(session: Session, blobs: Blobs) -> None:
    one = admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    two = admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    assert one.study_id == two.study_id
    assert session.get_one(Study, one.study_id).revision == 2


def test_another_patient_with_the_same_study_uid_is_never_merged(session: Session, blobs: Blobs) -> None:
    one = admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    two = admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Berta"))

    assert one.study_id != two.study_id
    assert two.warnings
    [conflict] = session.scalars(select(IdentityConflict))
    assert (conflict.kind, conflict.study_id, conflict.other_study_id) == (
        "other-patient",
        two.study_id,
        one.study_id,
    )


def test_patients_without_an_id_are_told_apart_by_name_and_birth_date(session: Session, blobs: Blobs) -> None:
    def of(name: str) -> Admission:
        tags = {"PatientID": None, "PatientName": name}
        return admit(session, blobs, a_dicom(study_instance_uid=_UID, tags=tags))

    one, again, other = of("A^A"), of("a^a"), of("B^B")
    assert one.study_id == again.study_id
    assert other.study_id != one.study_id
    assert session.scalars(select(IdentityConflict)).one().kind == "other-patient"


def test_one_patient_id_from_two_issuers_is_two_patients(session: Session, blobs: Blobs) -> None:
    one = admit(
        session, blobs, a_dicom(study_instance_uid=_UID, tags={"IssuerOfPatientID": "North"}, patient_id="1")
    )
    two = admit(
        session, blobs, a_dicom(study_instance_uid=_UID, tags={"IssuerOfPatientID": "South"}, patient_id="1")
    )
    assert one.study_id != two.study_id


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_makes_a_study_of_its_own_with_the_metadata_given(
    session: Session, blobs: Blobs, bits: int
) -> None:
    given = GivenMetadata(patient_id="Ada", accession_number="A1", age_years=2.5, sex="F", view="PA")
    admission = admit(session, blobs, a_png(bits=bits), given=given)
    study = session.get_one(Study, admission.study_id)
    assert (study.patient_id, study.accession_number, study.age_years, study.patient_sex) == (
        "Ada",
        "A1",
        2.5,
        "F",
    )
    assert session.get_one(Image, admission.image_id).view_position == "PA"
    other = admit(session, blobs, a_png(bits=bits), given=given)
    assert other.study_id != admission.study_id


def test_a_sender_is_told_that_a_picture_known_already_keeps_what_was_said_of_it(
    session: Session, blobs: Blobs
) -> None:
    data = a_png()
    first = GivenMetadata(sex="F")
    assert admit(session, blobs, data, given=first).warnings == ()
    assert admit(session, blobs, data, given=first).warnings == ()
    [warning] = admit(session, blobs, data, given=GivenMetadata(sex="F", age_years=45.0)).warnings
    assert "was not taken over" in warning


def test_bytes_known_under_another_patient_are_refused(session: Session, blobs: Blobs) -> None:
    data = a_png()
    admit(session, blobs, data, given=GivenMetadata(patient_id="Ada"))
    with pytest.raises(Conflict, match="another patient"):
        admit(session, blobs, data, given=GivenMetadata(patient_id="Berta"))


def test_a_dicom_file_sent_again_speaks_for_itself_as_it_did_at_first(session: Session, blobs: Blobs) -> None:
    data = a_dicom(patient_id="0007")
    given = GivenMetadata(patient_id="7")
    first = admit(session, blobs, data, given=given)
    again = admit(session, blobs, data, given=given)
    assert (again.created, again.image_id) == (False, first.image_id)


def test_a_web_page_is_no_image_and_leaves_nothing(session: Session, blobs: Blobs, home: object) -> None:
    with blobs.stage(max_bytes=MAX_BYTES) as staged:
        staged.write(b"<!DOCTYPE html><html><body>403</body></html>")
        with pytest.raises(NotAnImage):
            read(staged, file_name="scan.dcm")
        sha256 = staged.sha256
        path = staged.path
    assert not path.exists()
    assert not blobs.has(sha256)


def test_a_study_uid_that_contradicts_the_address_is_refused(blobs: Blobs) -> None:
    with blobs.stage(max_bytes=MAX_BYTES) as staged:
        staged.write(a_dicom(study_instance_uid=_UID))
        with pytest.raises(UidContradiction):
            read(staged, file_name=None, study_instance_uid="2.25.99")


def test_stat_comes_from_the_sender_or_from_the_order(session: Session, blobs: Blobs) -> None:
    asked = admit(session, blobs, a_png(), given=GivenMetadata(priority=Priority.STAT))
    ordered = admit(session, blobs, a_dicom(tags={"RequestedProcedurePriority": "STAT"}))
    for admission in (asked, ordered):
        study = session.get_one(Study, admission.study_id)
        assert study.priority == "stat"
        assert study.arrived_at - study.rank_at == timedelta(hours=24)
