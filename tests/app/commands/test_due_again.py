"""A study that is due for screening once more: what is said of it meanwhile, and since when it waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry, screening
from app.commands.registry import Lacking
from app.commands.screening import StudyToScreen
from app.domain.order import Credits
from app.domain.roles import SYSTEM
from app.queries import operations, worklist
from app.records import IdentityConflict, Study
from app.records.base import now
from tests.builders import a_bundle, a_dicom, admit, claimed, image_read, record

_UID = "1.2.826.0.1.3680043.8.498.77"


def failed(session: Session, job: StudyToScreen, *, lacking: Lacking | None = None) -> None:
    """The study's last attempt broke."""
    screening.postpone(
        session,
        study=job,
        error="The decoder ended.",
        attempts=1,
        backoff=timedelta(seconds=1),
        credits=Credits(),
        lacking=lacking,
    )


def arrived_hours_ago(session: Session, *, hours: int) -> None:
    session.execute(
        update(Study).values(
            arrived_at=Study.arrived_at - timedelta(hours=hours),
            rank_at=Study.rank_at - timedelta(hours=hours),
        )
    )
    session.expire_all()


def waited(session: Session) -> float:
    """For how long the page, the health page and the metrics say that the network is owed a reading."""
    session.flush()
    said = worklist.counts(session, due_before=now(), to=SYSTEM).oldest_unscreened_seconds
    measured = operations.backlog(session).oldest_unscreened_seconds
    assert said is not None
    assert measured == pytest.approx(said, abs=5)
    return said


def test_a_study_that_is_tried_again_no_longer_says_why_it_failed(session: Session, blobs: Blobs) -> None:
    study = session.get_one(Study, admit(session, blobs, a_dicom()).study_id)
    [job] = claimed(session)
    failed(session, job)
    [entry] = worklist.entries(session, study_ids=[study.id], to=SYSTEM)
    assert (entry.reason, entry.awaits_network) == ("The decoder ended.", False)
    assert "screening failed" in entry.why_here

    assert screening.retry(session, study_id=study.id)
    [entry] = worklist.entries(session, study_ids=[study.id], to=SYSTEM)
    assert entry.awaits_network
    assert "failed" not in entry.why_here
    claimed(session)
    assert session.get_one(Study, study.id).reason is None


def test_a_study_tried_again_waits_since_it_was_asked_for(session: Session, blobs: Blobs) -> None:
    study = admit(session, blobs, a_dicom()).study_id
    arrived_hours_ago(session, hours=3)
    assert waited(session) > 3 * 3600 - 60, "never tried, it has waited since it arrived"
    [job] = claimed(session)
    failed(session, job)
    assert worklist.counts(session, due_before=now(), to=SYSTEM).oldest_unscreened_seconds is None
    screening.retry(session, study_id=study)
    assert waited(session) < 60
    session.execute(update(Study).values(screening_again_at=now() - timedelta(hours=1)))
    assert waited(session) == pytest.approx(3600, abs=60), "whoever asked an hour ago waits for an hour"


def test_a_further_image_waits_since_it_came(session: Session, blobs: Blobs) -> None:
    a_bundle(session)
    same = {"study_instance_uid": _UID, "patient_id": "Ada"}
    admit(session, blobs, a_dicom(**same))
    [job] = claimed(session)
    record(session, job, *(image_read(image.image_id) for image in job.images))
    arrived_hours_ago(session, hours=3)
    admit(session, blobs, a_dicom(**same))
    assert waited(session) < 60
    [job] = claimed(session)
    record(session, job, *(image_read(image.image_id) for image in job.images))
    assert session.get_one(Study, job.study_id).screening_again_at is None


def test_a_further_image_of_a_study_that_still_waits_hides_no_stall(session: Session, blobs: Blobs) -> None:
    same = {"study_instance_uid": _UID, "patient_id": "Ada"}
    admit(session, blobs, a_dicom(**same))
    arrived_hours_ago(session, hours=3)
    admit(session, blobs, a_dicom(**same))
    assert waited(session) > 3 * 3600 - 60


def test_a_promotion_makes_nobody_late(session: Session, blobs: Blobs) -> None:
    admit(session, blobs, a_dicom())
    arrived_hours_ago(session, hours=3)
    [job] = claimed(session)
    failed(session, job, lacking=Lacking(promotion=None))
    registry.register(session, sha256="d" * 64, manifest={"name": "x", "version": "1"}, by=SYSTEM)
    registry.promote(session, sha256="d" * 64, by=SYSTEM, reason="test")
    session.expire_all()
    assert waited(session) < 60


def test_one_picture_in_two_studies_is_called_so(session: Session, blobs: Blobs) -> None:
    """The same instance came with another PatientID, as when a patient was mixed up and sent again."""
    picture = {"seed": 4711, "sop_instance_uid": "2.25.1"}
    one = admit(session, blobs, a_dicom(study_instance_uid="2.25.10", patient_id="Ada", **picture))
    two = admit(session, blobs, a_dicom(study_instance_uid="2.25.11", patient_id="Bea", **picture))
    session.flush()
    [conflict] = session.query(IdentityConflict)
    assert conflict.kind == "same-picture"
    assert {conflict.study_id, conflict.other_study_id} == {one.study_id, two.study_id}
    assert two.warnings == (
        "The same picture is known in another study; both are kept and an administrator is told.",
    )
    third = admit(session, blobs, a_dicom(study_instance_uid="2.25.12", sop_instance_uid="2.25.1"))
    assert set(third.warnings) == {
        "Another picture has the same SOPInstanceUID; both are kept and an administrator is told."
    }
