"""What failed for want of a network, and the promotion that has it screened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry, review
from app.commands.intake import Admission
from app.commands.registry import Lacking
from app.domain.order import Lane
from app.domain.roles import Role
from app.domain.states import State
from app.records import AuditEvent
from app.records.engine import transaction
from tests.app.commands.studies import SENTENCE, fail_attempt, row
from tests.app.commands.test_intake_races import wait_for_a_lock
from tests.builders import a_bundle, a_png, a_user, admit, claimed, image_read, record


def failed_for(session: Session, blobs: Blobs, sentence: str, *, lacking: Lacking | None = None) -> Admission:
    """A study that was given up with this sentence."""
    admission = admit(session, blobs, a_png())
    [study] = claimed(session)
    fail_attempt(session, study, error=sentence, lacking=lacking)
    assert row(session, admission).state == State.FAILED.value
    return admission


def test_what_failed_for_want_of_a_network_is_screened_again_once_one_is_promoted(
    session: Session, blobs: Blobs
) -> None:
    none = failed_for(session, blobs, "None was promoted.", lacking=Lacking(promotion=None))
    a_bundle(session, "a" * 64)
    [late] = claimed(session)
    assert late.study_id == none.study_id
    fail_attempt(session, late, lacking=standing(session))
    refused = failed_for(session, blobs, SENTENCE, lacking=standing(session))
    other = failed_for(session, blobs, SENTENCE)  # the same words, of something else
    assert claimed(session) == []
    a_bundle(session)
    again = claimed(session)
    assert {study.study_id for study in again} == {refused.study_id, none.study_id}
    assert all(study.attempt == 1 for study in again)
    for study in again:
        record(session, study, *(image_read(image.image_id, lane=Lane.RULE_OUT) for image in study.images))
    assert row(session, refused).state == State.SCREENED.value
    assert row(session, refused).rank_at == row(session, refused).arrived_at
    assert row(session, other).state == State.FAILED.value
    a_bundle(session, "d" * 64)
    assert claimed(session) == []
    details = session.scalars(
        select(AuditEvent.details).where(AuditEvent.action == "bundle.promoted").order_by(AuditEvent.id)
    ).all()
    assert [known["screened_again"] for known in details] == [1, 2, 0]


def test_a_study_somebody_holds_or_signed_keeps_its_reader(session: Session, blobs: Blobs) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    held, signed = (failed_for(session, blobs, SENTENCE, lacking=Lacking(promotion=None)) for _ in range(2))
    for admission in (held, signed):
        review.claim(session, study_id=admission.study_id, by=grace, minutes=5)
    review.sign(
        session,
        study_id=signed.study_id,
        by=grace,
        revision=row(session, signed).revision,
        confirm=False,
        findings={"pneumonia": review.Statement.ABSENT},
    )
    a_bundle(session, "c" * 64)
    [study] = claimed(session)
    assert study.study_id == held.study_id
    assert row(session, held).state == State.CLAIMED.value


def standing(session: Session) -> Lacking:
    """What a worker lacks that cannot use the bundle promoted last."""
    return Lacking(promotion=registry.last_promotion(session)[0])


def test_a_refusal_that_is_told_after_the_promotion_fails_nothing(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        a_bundle(session, "a" * 64)
    with transaction() as promoting:  # its moment is before the claim, its commit after the worker's look
        a_bundle(promoting, "c" * 64)
        with transaction() as session:
            admission = admit(session, blobs, a_png())
        with transaction() as session:
            [study] = claimed(session)
            lacking = standing(session)
    with transaction() as session:
        fail_attempt(session, study, backoff=timedelta(hours=1), lacking=lacking)
        assert row(session, admission).state == State.ADMITTED.value
        [again] = claimed(session)
        assert again.attempt == 1


def test_a_study_that_fails_while_a_bundle_is_promoted_is_screened_again(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        admission = admit(session, blobs, a_png())
        [study] = claimed(session)

    def promote() -> None:
        with transaction() as session:
            a_bundle(session, "c" * 64)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            fail_attempt(session, study, backoff=timedelta(hours=1), lacking=Lacking(promotion=None))
            promoting = pool.submit(promote)
            wait_for_a_lock(promoting)
        promoting.result(20)
    with transaction() as session:
        assert [study.study_id for study in claimed(session)] == [admission.study_id]
