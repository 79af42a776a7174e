"""Admission: what is kept, what is refused, and who belongs to whom."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import leases, review
from app.commands.intake import Admission, GivenMetadata, read
from app.commands.review import Statement
from app.domain.order import Credits, Priority
from app.domain.roles import Role
from app.domain.states import State
from app.errors import Conflict, NotAnImage, UidContradiction
from app.records import AuditEvent, IdentityConflict, Image, Study
from app.records.engine import transaction
from tests.builders import (
    MAX_BYTES,
    a_bundle,
    a_dicom,
    a_png,
    a_screened_study,
    a_user,
    admit,
    claimed,
    image_read,
    record,
    revision_of,
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


def test_a_header_revision_supersedes_the_picture_it_repeats(session: Session, blobs: Blobs) -> None:
    same = {"seed": 7, "study_instance_uid": _UID, "sop_instance_uid": "2.25.1", "patient_id": "Ada"}
    one = admit(session, blobs, a_dicom(**same, patient_age="003Y"))
    two = admit(session, blobs, a_dicom(**same, patient_age="004Y"))

    assert two.created
    assert session.get_one(Image, one.image_id).superseded_by == two.image_id
    assert session.scalar(select(func.count(IdentityConflict.id))) == 0
    assert [image.image_id for image in claimed(session)[0].images] == [two.image_id]


def test_a_header_revision_corrects_what_the_worklist_says_of_the_patient(
    session: Session, blobs: Blobs
) -> None:
    same = {"seed": 7, "study_instance_uid": _UID, "sop_instance_uid": "2.25.1", "patient_id": "Ada"}
    wrong = admit(session, blobs, a_dicom(**same, tags={"PatientName": "Lovelace^Eda", "PatientSex": "M"}))
    right = {"PatientName": "Lovelace^Ada", "PatientSex": "F", "AccessionNumber": "A1"}
    admit(session, blobs, a_dicom(**same, patient_age="045Y", tags=right))
    study = session.get_one(Study, wrong.study_id)
    assert (study.patient_name, study.age_years) == ("Lovelace^Ada", 45.0)
    assert (study.patient_sex, study.accession_number) == ("F", "A1")


def test_a_header_sent_again_after_it_was_replaced_is_current_again(session: Session, blobs: Blobs) -> None:
    same = {"seed": 7, "study_instance_uid": _UID, "sop_instance_uid": "2.25.1", "patient_id": "Ada"}
    headers = [a_dicom(**same, tags={"PatientName": f"Lovelace^{name}"}) for name in ("Ada", "Eda", "Ida")]
    images = [admit(session, blobs, header).image_id for header in headers]
    claimed(session)
    for number, name in ((0, "Ada"), (1, "Eda"), (0, "Ada"), (2, "Ida")):
        again = admit(session, blobs, headers[number])
        assert (again.created, again.image_id) == (False, images[number])
        assert again.needs_screening
        assert "shown again" in again.warnings[0]
        session.expire_all()
        standing = session.scalars(select(Image).where(Image.superseded_by.is_(None))).all()
        assert [image.id for image in standing] == [images[number]]
        study = session.get_one(Study, again.study_id)
        assert study.patient_name == f"Lovelace^{name}"
    revision = study.revision
    assert admit(session, blobs, headers[2]).warnings == ()
    session.expire_all()
    assert study.revision == revision
    assert session.scalar(select(func.count(Image.id))) == 3


def _signed_study(session: Session, blobs: Blobs, data: bytes) -> Admission:
    admission = admit(session, blobs, data)
    a_bundle(session)
    [job] = claimed(session)
    record(session, job, *(image_read(image.image_id) for image in job.images))
    study = session.get_one(Study, admission.study_id)
    reader = a_user(session, "grace", Role.RADIOLOGIST)
    review.sign(session, study_id=study.id, by=reader, revision=study.revision, confirm=True, findings={})
    return admission


_SIGNED = {"seed": 7, "study_instance_uid": _UID, "sop_instance_uid": "2.25.1", "patient_id": "Ada"}
_SIGNED_TAGS = {"PatientName": "Lovelace^Ada", "ImageLaterality": "L", "PatientSex": "F"}


def test_a_header_revision_of_a_signed_study_is_recorded_and_shown_and_does_not_reopen_it(
    session: Session, blobs: Blobs
) -> None:
    signed = _signed_study(session, blobs, a_dicom(**_SIGNED, tags=_SIGNED_TAGS))
    before = session.get_one(Study, signed.study_id).revision
    silent = {"PatientName": "Lovelace^Ada", "AccessionNumber": "A9", "ImageLaterality": None}
    revised = admit(session, blobs, a_dicom(**_SIGNED, tags=silent))
    study = session.get_one(Study, signed.study_id)
    assert (study.state, study.reason, study.accession_number) == (State.SIGNED.value, None, "A9")
    assert study.revision > before
    assert session.get_one(Image, signed.image_id).superseded_by == revised.image_id
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert "image.header-revised" in actions
    assert "study.reopened" not in actions
    [job] = claimed(session)
    record(session, job, *(image_read(image.image_id) for image in job.images))
    assert session.get_one(Study, signed.study_id).state == State.SIGNED.value


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PatientName": "Byron^Anne"}, "the patient's name"),
        ({"ImageLaterality": "R"}, "the laterality"),
        ({"ViewPosition": "LL"}, "the view"),
        ({"PatientSex": "M", "PatientBirthDate": "20200101"}, "the date of birth, the sex"),
    ],
)
def test_a_revision_of_patient_side_or_view_reopens_a_signed_study_and_is_not_called_a_new_image(
    session: Session, blobs: Blobs, tags: dict[str, str], words: str
) -> None:
    signed = _signed_study(session, blobs, a_dicom(**_SIGNED, tags=_SIGNED_TAGS))
    first = a_dicom(**_SIGNED, tags=_SIGNED_TAGS | tags)
    admit(session, blobs, first)
    study = session.get_one(Study, signed.study_id)
    assert study.state == State.REOPENED.value
    assert study.reason is not None
    assert study.reason.endswith(f"with another header: {words}.")
    assert "new image" not in study.reason.lower()
    [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.reopened")).all()
    assert event.details == {"reason": "header revision"}


def test_the_same_instance_uid_with_other_pixels_is_a_conflict_and_both_are_kept(
    session: Session, blobs: Blobs
) -> None:
    same = {"study_instance_uid": _UID, "sop_instance_uid": "2.25.1", "patient_id": "Ada"}
    one = admit(session, blobs, a_dicom(**same))
    two = admit(session, blobs, a_dicom(**same))

    assert session.get_one(Image, one.image_id).superseded_by is None
    [conflict] = session.scalars(select(IdentityConflict))
    assert (conflict.kind, conflict.image_id, conflict.other_image_id) == (
        "other-pixels",
        two.image_id,
        one.image_id,
    )
    assert len(claimed(session)[0].images) == 2


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


def test_a_prior_is_stored_without_screening_or_ranking(session: Session, blobs: Blobs) -> None:
    admission = admit(session, blobs, a_dicom(), given=GivenMetadata(purpose="prior"))
    assert not admission.needs_screening
    assert claimed(session) == []
    study = session.get_one(Study, admission.study_id)
    assert study.purpose == "prior"


def test_a_prior_whose_study_is_sent_as_current_is_screened(session: Session, blobs: Blobs) -> None:
    same = {"study_instance_uid": _UID, "patient_id": "Ada"}
    admit(session, blobs, a_dicom(**same), given=GivenMetadata(purpose="prior"))
    current = admit(session, blobs, a_dicom(**same))
    assert current.needs_screening
    assert session.get_one(Study, current.study_id).purpose == "current"


def test_the_same_bytes_sent_as_current_bring_a_prior_onto_the_worklist(
    session: Session, blobs: Blobs
) -> None:
    data = a_dicom()
    prior = admit(session, blobs, data, given=GivenMetadata(purpose="prior"))
    again = admit(session, blobs, data)
    assert (again.created, again.needs_screening) == (False, True)
    study = session.get_one(Study, prior.study_id)
    assert (study.purpose, study.state, study.revision) == ("current", "admitted", 2)
    assert [job.study_id for job in claimed(session)] == [prior.study_id]


def test_the_same_bytes_sent_as_stat_are_heard_and_never_make_it_routine_again(
    session: Session, blobs: Blobs
) -> None:
    data = a_dicom()
    first = admit(session, blobs, data)
    for priority in (Priority.STAT, Priority.ROUTINE):
        assert not admit(session, blobs, data, given=GivenMetadata(priority=priority)).created
        study = session.get_one(Study, first.study_id)
        assert study.arrived_at - study.rank_at == Credits().stat
        assert (study.priority, study.revision) == ("stat", 2)
    [event] = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.asked-again"))
    assert event.details == {"became_current": False, "became_stat": True}


def test_a_late_image_sends_a_ruled_in_study_back_without_moving_it(blobs: Blobs, database: str) -> None:
    first = a_screened_study(blobs, study_instance_uid=_UID, patient_id="Ada")
    with transaction() as session:
        place_before = session.get_one(Study, first.study_id).rank_at
    with transaction() as session:
        admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    with transaction() as session:
        study = session.get_one(Study, first.study_id)
        assert study.state == State.ADMITTED.value
        assert study.rank_at == place_before
        [job] = claimed(session)
        assert len(job.images) == 2


def test_a_late_image_reopens_a_signed_study(blobs: Blobs, database: str) -> None:
    first = a_screened_study(blobs, study_instance_uid=_UID, patient_id="Ada")
    with transaction() as session:
        reader = a_user(session, "grace", Role.RADIOLOGIST)
        review.sign(
            session,
            study_id=first.study_id,
            by=reader,
            revision=revision_of(first.study_id),
            confirm=False,
            findings={"pneumonia": Statement.ABSENT},
        )
    with transaction() as session:
        admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    with transaction() as session:
        study = session.get_one(Study, first.study_id)
        assert study.state == State.REOPENED.value
        [job] = claimed(session)
        record(session, job, *(image_read(image.image_id) for image in job.images))
        assert study.state == State.REOPENED.value
        assert not study.screening_due


def test_an_image_that_comes_while_its_study_is_screened_is_not_missed(blobs: Blobs, database: str) -> None:
    with transaction() as session:
        a_bundle(session)
        admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    with transaction() as session:
        [job] = claimed(session)
    with transaction() as session:
        late = admit(session, blobs, a_dicom(study_instance_uid=_UID, patient_id="Ada"))
    with transaction() as session:
        record(session, job, image_read(job.images[0].image_id))
        study = session.get_one(Study, late.study_id)
        assert study.state == State.ADMITTED.value
        assert study.screening_due
        [again] = claimed(session)
        assert {image.image_id for image in again.images} == {job.images[0].image_id, late.image_id}


def test_expired_leases_are_given_back(blobs: Blobs, database: str) -> None:
    with transaction() as session:
        admission = admit(session, blobs, a_dicom())
    with transaction() as session:
        [lost] = claimed(session, seconds=-1)
    with transaction() as session:
        assert leases.expire_leases(session) == [admission.study_id]
        assert session.get_one(Study, admission.study_id).state == State.ADMITTED.value
    with transaction() as session:
        a_bundle(session)
        [again] = claimed(session)
        record(session, lost, image_read(lost.images[0].image_id, probability=0.1))
        assert session.get_one(Study, admission.study_id).state == State.SCREENING.value
        record(session, again, image_read(again.images[0].image_id, probability=0.9))
        assert session.get_one(Study, admission.study_id).urgency == 0.9
