"""A study on the screen of somebody who may sign it is held by them, and let go of where nothing was done."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import consult, opening, review, screening, takeover
from app.commands.intake import GivenMetadata
from app.domain.roles import Actor, Role
from app.domain.states import Outcome
from app.errors import Conflict, NotFound
from app.records import AuditEvent, Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import (
    a_bundle,
    a_dicom,
    a_screened_study,
    a_signed_study,
    a_user,
    admit,
    an_admitted_study,
    claimed,
    image_read,
    record,
    revision_of,
)


@pytest.fixture
def grace(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "grace", Role.RADIOLOGIST)


@pytest.fixture
def henri(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "henri", Role.RADIOLOGIST)


def opened(study_id: UUID, by: Actor) -> datetime | None:
    with transaction() as session:
        return opening.open_study(session, study_id=study_id, by=by, minutes=15)


def leave(study_id: UUID, by: Actor, until: datetime | None) -> None:
    assert until is not None
    with transaction() as session:
        opening.leave_study(session, study_id=study_id, by=by, held_until=until)


def held(study_id: UUID) -> tuple[str, str | None]:
    with transaction() as session:
        study = session.get_one(Study, study_id)
        return study.state, study.claimed_by_name


def on_record(study_id: UUID) -> list[tuple[str, dict[str, object]]]:
    """Claims and releases of the study, in turn, with what is said of each."""
    wanted = ("study.claimed", "study.released", "study.claim-expired")
    with transaction() as session:
        events = session.scalars(
            select(AuditEvent)
            .where(AuditEvent.study_id == study_id, AuditEvent.action.in_(wanted))
            .order_by(AuditEvent.id)
        ).all()
        return [(event.action.removeprefix("study."), event.details) for event in events]


def test_an_open_study_is_held_and_free_again_once_it_is_left(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    seen = revision_of(study_id)
    until = opened(study_id, grace)
    assert held(study_id) == ("claimed", "grace")
    assert revision_of(study_id) == seen, "a signature that was on its way is none of a stale page"
    leave(study_id, grace, until)
    assert held(study_id) == ("screened", None)
    assert on_record(study_id) == [("claimed", {"via": "page"}), ("released", {"via": "page"})]
    leave(study_id, grace, until)  # as a request that is sent twice
    assert len(on_record(study_id)) == 2


def test_what_was_claimed_by_hand_since_stays_held(blobs: Blobs, grace: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    until = opened(study_id, grace)
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
    leave(study_id, grace, until)
    assert held(study_id) == ("claimed", "grace")


def test_a_study_open_in_two_tabs_is_not_let_go_of_by_the_first_that_is_left(
    blobs: Blobs, grace: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    until = opened(study_id, grace)
    assert opened(study_id, grace) is None, "what was held before is nothing to let go of"
    leave(study_id, grace, until)
    assert held(study_id) == ("claimed", "grace")
    assert [action for action, _ in on_record(study_id)] == ["claimed"]


def test_a_study_that_somebody_else_holds_stays_theirs(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    until = opened(study_id, grace)
    assert opened(study_id, henri) is None
    leave(study_id, henri, until)
    assert held(study_id) == ("claimed", "grace")
    with transaction() as session, pytest.raises(Conflict, match="grace holds this study"):
        review.sign(
            session,
            study_id=study_id,
            by=henri,
            revision=revision_of(study_id),
            confirm=True,
            findings={},
        )
    with transaction() as session:
        takeover.take_over(session, study_id=study_id, by=henri, reason="She went home.", minutes=5)
    leave(study_id, grace, until)
    assert held(study_id) == ("claimed", "henri")


def test_a_hold_that_nobody_lets_go_of_ends_by_itself(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    opened(study_id, grace)
    with transaction() as session:
        session.execute(update(Study).values(claim_expires_at=now() - timedelta(seconds=1)))
    assert opened(study_id, henri) is not None
    assert held(study_id) == ("claimed", "henri")
    assert [action for action, _ in on_record(study_id)] == ["claimed", "claim-expired", "claimed"]


def test_what_cannot_be_claimed_is_left_as_it_is(blobs: Blobs, grace: Actor) -> None:
    signed = a_signed_study(blobs)
    with transaction() as session:
        admin = a_user(session, "admin", Role.ADMINISTRATOR)
        prior = admit(session, blobs, a_dicom(), given=GivenMetadata(purpose="prior")).study_id
    free = a_screened_study(blobs).study_id
    before = [held(study_id) for study_id in (signed, prior, free)]
    assert [opened(signed, grace), opened(prior, grace), opened(free, admin)] == [None, None, None]
    assert [held(study_id) for study_id in (signed, prior, free)] == before
    with pytest.raises(NotFound):
        opened(UUID(int=0), grace)


def test_who_has_asked_a_colleague_does_not_keep_them_from_signing_by_looking(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    opened(study_id, grace)
    assert henri.id is not None
    with transaction() as session:
        asked = consult.ask(session, study_id=study_id, of=henri.id, question="", by=grace)
    assert opened(study_id, grace) is None
    assert held(study_id) == ("screened", None)
    until = opened(study_id, henri)
    assert held(study_id) == ("claimed", "henri")
    leave(study_id, henri, until)
    with transaction() as session:
        consult.withdraw(session, opinion_id=asked, by=grace)
    assert opened(study_id, grace) is not None


@pytest.mark.parametrize("outcome", [Outcome.WITHHELD, Outcome.FAILED])
def test_an_open_study_that_the_network_did_not_read_can_be_screened_again(
    blobs: Blobs, grace: Actor, henri: Actor, outcome: Outcome
) -> None:
    admission = an_admitted_study(blobs)
    with transaction() as session:
        a_bundle(session)
        [study] = claimed(session)
        record(session, study, image_read(admission.image_id, outcome=outcome, reason="It was so."))
    until = opened(study.study_id, grace)
    with transaction() as session:
        assert not screening.retry(session, study_id=study.study_id, by=henri), "it is grace's"
        assert screening.retry(session, study_id=study.study_id, by=grace)
        assert not screening.retry(session, study_id=study.study_id, by=grace)
    assert held(study.study_id) == ("claimed", "grace")
    with transaction() as session:
        [again] = claimed(session)
        record(session, again, image_read(admission.image_id))
    leave(study.study_id, grace, until)
    assert held(study.study_id) == ("screened", None)


def test_who_leaves_before_they_heard_until_when_lets_go_of_that_hold_alone(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id

    def leaves(by: Actor, shown_at: datetime) -> bool:
        with transaction() as session:
            return opening.leave_unheard(session, study_id=study_id, by=by, shown_at=shown_at, minutes=15)

    before = now()
    assert not leaves(grace, before), "opening has not been heard of yet"
    assert opened(study_id, grace)
    assert not leaves(henri, before)
    assert not leaves(grace, now()), "it was held before"
    assert held(study_id)[1] == "grace"
    assert leaves(grace, before)
    assert held(study_id)[1] is None
    assert opened(study_id, grace)
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=15)
    assert not leaves(grace, before), "claimed by hand meanwhile, it was prolonged"
    assert held(study_id)[1] == "grace"
