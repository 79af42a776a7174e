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
from app.commands.intake import GivenMetadata
from app.domain.order import Lane
from app.domain.states import Outcome, State
from app.records import AuditEvent, Image, Reading, Study
from app.records.base import now
from app.records.engine import transaction
from tests.app.commands.studies import SENTENCE, a_study, fail_attempt, hours_earlier, read_as, row
from tests.builders import a_bundle, a_dicom, claimed, image_read, record


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
        fail_attempt(session, study, attempts=3, backoff=timedelta(seconds=2))
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
