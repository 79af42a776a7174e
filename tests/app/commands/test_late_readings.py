"""Images, failures and results that come after a first reading: what then stands."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import screening
from app.domain.order import Lane
from app.domain.roles import SYSTEM
from app.domain.states import Outcome, State
from app.queries import studies, worklist
from app.records import Reading
from app.records.base import now
from tests.app.commands.studies import a_study, fail_attempt, hours_earlier, read_as, row
from tests.builders import BUNDLE, a_bundle, a_dicom, claimed, image_read, record


@pytest.fixture(autouse=True)
def _bundle(session: Session) -> None:
    a_bundle(session)


def test_after_the_first_reading_the_credit_of_an_unsigned_study_never_decreases(
    session: Session, blobs: Blobs
) -> None:
    first = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    seen = []
    for lane in (Lane.ABSTAIN, Lane.RULE_OUT, Lane.RULE_IN, Lane.RULE_OUT):
        read_as(session, lane)
        seen.append(round(hours_earlier(row(session, first))))
        late = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
        assert late.study_id == first.study_id
        assert row(session, first).state == State.ADMITTED.value
        assert round(hours_earlier(row(session, first))) == 8  # the late image is unread
    assert seen == [2, 2, 8, 8]


def test_a_rule_out_does_not_stand_while_an_image_that_came_meanwhile_is_unread(
    session: Session, blobs: Blobs
) -> None:
    first = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    [study] = claimed(session)
    a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    record(session, study, image_read(first.image_id, lane=Lane.RULE_OUT))
    assert hours_earlier(row(session, first)) == pytest.approx(8)
    [entry] = worklist.page(session, to=SYSTEM).entries
    assert "An image of it waits to be read." in entry.why_here
    read_as(session, Lane.RULE_OUT)
    assert hours_earlier(row(session, first)) == pytest.approx(0)
    [entry] = worklist.page(session, to=SYSTEM).entries
    assert "waits" not in entry.why_here


@pytest.mark.parametrize("second", [Outcome.SCREENED, Outcome.WITHHELD, Outcome.FAILED])
def test_a_late_second_image_lifts_a_rule_out_only_until_it_is_read(
    session: Session, blobs: Blobs, second: Outcome
) -> None:
    first = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    read_as(session, Lane.RULE_OUT)
    assert hours_earlier(row(session, first)) == pytest.approx(0)
    late = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    assert hours_earlier(row(session, first)) == pytest.approx(8)
    [study] = claimed(session)
    record(
        session,
        study,
        image_read(first.image_id, lane=Lane.RULE_OUT),
        image_read(
            late.image_id,
            lane=Lane.RULE_OUT,
            outcome=second,
            reason=None if second is Outcome.SCREENED else "A lateral view.",
        ),
    )
    assert row(session, first).state == State.SCREENED.value
    assert hours_earlier(row(session, first)) == pytest.approx(0)


def test_a_withheld_first_image_does_not_pin_its_study(session: Session, blobs: Blobs) -> None:
    lateral = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    read_as(session, None)
    assert hours_earlier(row(session, lateral)) == pytest.approx(8)
    frontal = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    [study] = claimed(session)
    record(
        session,
        study,
        image_read(lateral.image_id, outcome=Outcome.WITHHELD, reason="A lateral view."),
        image_read(frontal.image_id, lane=Lane.RULE_OUT),
    )
    assert hours_earlier(row(session, lateral)) == pytest.approx(0)


def test_a_failed_attempt_after_a_late_image_neither_pins_nor_speaks_for_the_network(
    session: Session, blobs: Blobs
) -> None:
    first = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    read_as(session, Lane.ABSTAIN)
    a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    [study] = claimed(session)
    fail_attempt(session, study)
    failed = row(session, first)
    assert (failed.state, failed.lane, failed.urgency) == (State.FAILED.value, None, None)
    assert hours_earlier(failed) == pytest.approx(8)
    [entry] = worklist.page(session, to=SYSTEM).entries
    assert "Not read by the network: screening failed." in entry.why_here
    assert screening.retry(session, study_id=first.study_id)
    read_as(session, Lane.RULE_OUT)
    assert hours_earlier(row(session, first)) == pytest.approx(2)


def test_an_image_that_comes_while_its_study_is_read_has_it_read_again(
    session: Session, blobs: Blobs
) -> None:
    first = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    [study] = claimed(session)
    late = a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P"))
    record(session, study, image_read(first.image_id))
    assert row(session, first).state == State.ADMITTED.value
    [again] = claimed(session)
    assert {image.image_id for image in again.images} == {first.image_id, late.image_id}
    assert again.attempt == 1
    record(session, again, image_read(first.image_id), image_read(late.image_id))
    assert row(session, first).state == State.SCREENED.value
    assert claimed(session) == []


def test_a_worker_whose_clock_is_slow_cannot_make_an_older_reading_stand(
    session: Session, blobs: Blobs
) -> None:
    admission = a_study(session, blobs)
    read_as(session, Lane.RULE_IN)
    slow = Reading(
        study_id=admission.study_id,
        bundle_sha256=BUNDLE,
        outcome="screened",
        lane=Lane.ABSTAIN.value,
        findings={"pneumonia": {"probability": 0.4, "present": False, "lane": "abstain"}},
        notices=["the later one"],
        read_at=now() - timedelta(hours=1),
    )
    session.add(slow)
    session.flush()
    [entry] = worklist.page(session, to=SYSTEM).entries
    shown = studies.show(session, study_id=admission.study_id, to=SYSTEM)
    assert shown.reading is not None
    assert shown.reading.reading_id == slow.id
    assert entry.notices == shown.entry.notices == ("the later one",)
