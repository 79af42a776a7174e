"""What comes after its study was read, signed or stored as a prior."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import leases, review
from app.commands.intake import GivenMetadata
from app.commands.review import Statement
from app.domain.order import Credits, Priority
from app.domain.roles import Role
from app.domain.states import State
from app.records import AuditEvent, Study
from app.records.engine import transaction
from tests.builders import (
    a_bundle,
    a_dicom,
    a_screened_study,
    a_user,
    admit,
    claimed,
    image_read,
    record,
    revision_of,
)

_UID = "2.25.4711"


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
