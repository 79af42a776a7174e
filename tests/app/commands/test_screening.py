"""Screening as the records see it: leases, outcomes, places, and results that come too late."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import leases, screening
from app.commands.intake import Admission, GivenMetadata
from app.domain.order import Credits, Lane
from app.domain.roles import SYSTEM
from app.domain.states import Outcome, State
from app.queries import studies, worklist
from app.records import AuditEvent, Image, Reading, Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import BUNDLE, a_bundle, a_dicom, a_png, admit, claimed, image_read, record

SENTENCE = "The network could not be loaded."


def a_study(session: Session, blobs: Blobs, data: bytes | None = None, **arguments: Any) -> Admission:
    return admit(session, blobs, data or a_png(), **arguments)


def row(session: Session, admission: Admission) -> Study:
    session.flush()
    session.expire_all()
    return session.get_one(Study, admission.study_id)


def hours_earlier(study: Study) -> float:
    return (study.arrived_at - study.rank_at).total_seconds() / 3600


def read_as(session: Session, lane: Lane | None) -> None:
    """The next study is claimed and read."""
    [study] = claimed(session, size=1)
    outcome = Outcome.SCREENED if lane else Outcome.WITHHELD
    reason = None if lane else "Not a chest."
    images = [
        image_read(image.image_id, lane=lane or Lane.ABSTAIN, outcome=outcome, reason=reason)
        for image in study.images
    ]
    record(session, study, *images)


@pytest.fixture(autouse=True)
def _bundle(session: Session) -> None:
    a_bundle(session)


def test_studies_are_claimed_in_the_order_of_the_worklist(session: Session, blobs: Blobs) -> None:
    ids = [a_study(session, blobs).study_id for _ in range(3)]
    session.get_one(Study, ids[2]).rank_at -= timedelta(hours=1)
    assert [study.study_id for study in claimed(session)] == [ids[2], ids[0], ids[1]]
    assert claimed(session) == []


def test_two_workers_never_claim_the_same_study(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        ids = {a_study(session, blobs).study_id for _ in range(12)}
    both = threading.Barrier(2)
    got: list[list[Any]] = [[], []]

    def work(number: int) -> None:
        both.wait()
        while True:
            with transaction() as session:
                batch = claimed(session, size=2)
            if not batch:
                return
            got[number] += [study.study_id for study in batch]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got[0]) + len(got[1]) == 12
    assert {*got[0], *got[1]} == ids


def test_a_lease_that_ran_out_is_claimed_anew_and_its_late_result_changes_nothing(
    session: Session, blobs: Blobs
) -> None:
    admission = a_study(session, blobs)
    [late] = claimed(session, seconds=-1)
    [again] = claimed(session)
    assert again.lease != late.lease
    assert again.attempt == 2
    record(session, late, image_read(admission.image_id))
    assert row(session, admission).state == State.SCREENING.value
    assert session.scalar(select(func.count()).select_from(Reading)) == 0
    record(session, again, image_read(admission.image_id))
    record(session, again, image_read(admission.image_id))
    assert session.scalar(select(func.count()).select_from(Reading)) == 1


def test_a_prolonged_lease_is_not_taken_away(session: Session, blobs: Blobs) -> None:
    a_study(session, blobs)
    [study] = claimed(session, seconds=-1)
    held = {study.study_id: study.lease}
    assert leases.prolong(session, held=held, lease=timedelta(seconds=60)) == 1
    assert claimed(session) == []
    assert leases.expire_leases(session) == []
    assert leases.give_back(session, held=held) == 1
    assert leases.prolong(session, held=held, lease=timedelta(seconds=60)) == 0
    assert leases.due(session) == [study.study_id]


def test_the_network_moves_a_study_and_never_behind_its_arrival(session: Session, blobs: Blobs) -> None:
    for lane, hours in ((Lane.RULE_IN, 8), (Lane.ABSTAIN, 2), (Lane.RULE_OUT, 0), (None, 8)):
        admission = a_study(session, blobs)
        assert hours_earlier(row(session, admission)) == pytest.approx(8)
        read_as(session, lane)
        study = row(session, admission)
        assert hours_earlier(study) == pytest.approx(hours)
        assert study.rank_at <= study.arrived_at


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
    [entry] = worklist.page(session).entries
    assert "A further image waits to be read." in entry.why_here
    read_as(session, Lane.RULE_OUT)
    assert hours_earlier(row(session, first)) == pytest.approx(0)
    [entry] = worklist.page(session).entries
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
    screening.postpone(
        session, study=study, error=SENTENCE, attempts=1, backoff=timedelta(0), credits=Credits()
    )
    failed = row(session, first)
    assert (failed.state, failed.lane, failed.urgency) == (State.FAILED.value, None, None)
    assert hours_earlier(failed) == pytest.approx(8)
    assert "Not read by the network: screening failed." in worklist.page(session).entries[0].why_here
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


def test_a_study_is_screened_if_one_image_passes_and_its_finding_is_the_largest(
    session: Session, blobs: Blobs
) -> None:
    admissions = [
        a_study(session, blobs, a_dicom(study_instance_uid="1.2.3", patient_id="P")) for _ in range(3)
    ]
    [study] = claimed(session)
    record(
        session,
        study,
        image_read(admissions[0].image_id, probability=0.2, lane=Lane.RULE_OUT, notices=("age unknown",)),
        image_read(admissions[1].image_id, probability=0.8, lane=Lane.ABSTAIN),
        image_read(admissions[2].image_id, outcome=Outcome.WITHHELD, reason="A lateral view."),
    )
    reading = session.scalars(select(Reading)).one()
    assert reading.findings["pneumonia"]["probability"] == 0.8
    assert reading.lane == Lane.ABSTAIN.value
    assert reading.urgency == 0.8
    assert reading.notices == ["age unknown"]


def test_broken_screening_is_tried_again_with_doubling_pauses_and_then_fails(
    session: Session, blobs: Blobs
) -> None:
    admission = a_study(session, blobs)
    pauses = []
    for _ in range(3):
        [study] = claimed(session)
        screening.postpone(
            session,
            study=study,
            error=SENTENCE,
            attempts=3,
            backoff=timedelta(seconds=2),
            credits=Credits(),
        )
        not_before = row(session, admission).screening_not_before
        if not_before is not None:
            pauses.append(round((not_before - now()).total_seconds()))
            assert claimed(session) == []
            row(session, admission).screening_not_before = None
            session.flush()
    study_row = row(session, admission)
    assert pauses == [2, 4]
    assert study_row.state == State.FAILED.value
    assert study_row.reason == SENTENCE
    assert hours_earlier(study_row) == pytest.approx(8)
    assert claimed(session) == []
    assert screening.retry(session, study_id=admission.study_id)
    assert not screening.retry(session, study_id=admission.study_id)
    [again] = claimed(session)
    assert again.attempt == 1
    record(session, again, image_read(admission.image_id))
    assert row(session, admission).state == State.SCREENED.value


def test_every_change_of_state_leaves_its_audit_event(session: Session, blobs: Blobs) -> None:
    admission = a_study(session, blobs)
    claimed(session, seconds=-1)
    leases.expire_leases(session)
    read_as(session, Lane.RULE_IN)
    actions = session.scalars(
        select(AuditEvent.action).where(AuditEvent.study_id == admission.study_id).order_by(AuditEvent.id)
    ).all()
    assert list(actions) == [
        "image.admitted",
        "study.screening",
        "study.screening-abandoned",
        "study.screening",
        "study.screened",
    ]


def test_a_preview_is_kept_with_its_image(session: Session, blobs: Blobs) -> None:
    admission = a_study(session, blobs)
    [study] = claimed(session)
    record(session, study, image_read(admission.image_id, preview_sha256="c" * 64))
    session.flush()
    session.expire_all()
    assert session.get_one(Image, admission.image_id).preview_sha256 == "c" * 64


def test_a_prior_is_never_claimed(session: Session, blobs: Blobs) -> None:
    a_study(session, blobs, given=GivenMetadata(purpose="prior"))
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
    [entry] = worklist.page(session).entries
    shown = studies.show(session, study_id=admission.study_id, to=SYSTEM)
    assert shown.reading is not None
    assert shown.reading.reading_id == slow.id
    assert entry.notices == shown.entry.notices == ("the later one",)
