"""Headers sent again with other words: what they supersede, and when a signed study is opened again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import review
from app.commands.intake import Admission
from app.domain.roles import Role
from app.domain.states import State
from app.records import AuditEvent, IdentityConflict, Image, Study
from tests.builders import (
    a_bundle,
    a_dicom,
    a_user,
    admit,
    claimed,
    image_read,
    record,
)

_UID = "2.25.4711"


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
