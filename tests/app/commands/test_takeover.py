"""Take over: with a reason, told to who lost it, and once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import review, takeover
from app.commands.review import Statement
from app.domain.roles import Actor, Role
from app.errors import Conflict, Forbidden, Unprocessable
from app.queries import studies
from app.queries.history import lost_to
from app.records import AuditEvent, Study
from app.records.engine import transaction
from tests.builders import a_screened_study, a_user, revision_of


@pytest.fixture
def grace(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "grace", Role.RADIOLOGIST)


@pytest.fixture
def henri(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, "henri", Role.RADIOLOGIST)


def claim(study_id: UUID, by: Actor, *, minutes: float = 15) -> None:
    with transaction() as session:
        review.claim(session, study_id=study_id, by=by, minutes=minutes)


def take_over(
    study_id: UUID, by: Actor, reason: str = "She went home.", *, held_since: datetime | None = None
) -> None:
    with transaction() as session:
        takeover.take_over(
            session, study_id=study_id, by=by, reason=reason, minutes=15, held_since=held_since
        )


def held_since(study_id: UUID) -> datetime:
    with transaction() as session:
        since = session.get_one(Study, study_id).claimed_at
    assert since is not None
    return since


def take_overs(session: Session) -> int:
    return len(session.scalars(select(AuditEvent).where(AuditEvent.action == "study.taken-over")).all())


def test_a_study_taken_over_is_held_by_the_other_and_the_first_is_told_why(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    take_over(study_id, henri, "  She went home. ")
    with transaction() as session:
        row = session.get_one(Study, study_id)
        assert (row.claimed_by_name, row.claimed_by, row.state_before_claim) == (
            "henri",
            henri.id,
            "screened",
        )
        lost = lost_to(session, study_id=study_id, reader="grace")
        assert lost is not None
        assert (lost.by, lost.reason) == ("henri", "She went home.")
        assert lost_to(session, study_id=study_id, reader="henri") is None
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "study.taken-over")).one()
        assert event.details == {"holder": "grace", "reason": "She went home."}
        [line] = studies.show(session, study_id=study_id, to=grace).history
        assert (line.kind, line.by, line.lost_by, line.reason) == (
            "take-over",
            "henri",
            "grace",
            "She went home.",
        )
    with pytest.raises(Conflict, match="henri holds this study"), transaction() as session:
        review.sign(
            session,
            study_id=study_id,
            by=grace,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": Statement.ABSENT},
        )


def test_whoever_has_the_study_back_is_told_no_more(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    take_over(study_id, henri)
    with transaction() as session:
        review.release(session, study_id=study_id, by=henri)
        assert lost_to(session, study_id=study_id, reader="grace") is None


def test_the_first_is_still_told_once_the_other_has_signed(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    take_over(study_id, henri)
    seen = revision_of(study_id)
    with transaction() as session:
        review.sign(session, study_id=study_id, by=henri, revision=seen, confirm=True, findings={})
    with transaction() as session:
        lost = lost_to(session, study_id=study_id, reader="grace")
        assert lost is not None
        kinds = [line.kind for line in studies.show(session, study_id=study_id, to=grace).history]
        assert kinds == ["review", "take-over"]


def test_taken_over_twice_is_taken_over_once(blobs: Blobs, grace: Actor, henri: Actor) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    take_over(study_id, henri)
    take_over(study_id, henri)
    with transaction() as session:
        assert take_overs(session) == 1


def test_a_take_over_sent_again_takes_nothing_back_from_whoever_came_in_between(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    seen = held_since(study_id)
    take_over(study_id, henri, held_since=seen)
    take_over(study_id, henri, held_since=seen)  # its answer was lost
    take_over(study_id, grace, "I am back.", held_since=held_since(study_id))
    with pytest.raises(Conflict, match="grace holds this study, and not since the moment"):
        take_over(study_id, henri, held_since=seen)
    with transaction() as session:
        assert session.get_one(Study, study_id).claimed_by_name == "grace"
        assert take_overs(session) == 2


def test_a_hold_that_gave_way_to_another_is_not_taken_over_unseen(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    with transaction() as session:
        irma = a_user(session, "irma", Role.RADIOLOGIST)
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    seen = held_since(study_id)
    claim(study_id, grace)
    assert held_since(study_id) == seen, "a hold that is prolonged is the same hold"
    take_over(study_id, irma)
    with pytest.raises(Conflict, match="irma holds this study"):
        take_over(study_id, henri, held_since=seen)
    take_over(study_id, henri, held_since=held_since(study_id))
    with transaction() as session:
        assert session.get_one(Study, study_id).claimed_by_name == "henri"


@pytest.mark.parametrize("minutes", [None, -1])
def test_what_nobody_holds_any_more_is_only_claimed(
    blobs: Blobs, grace: Actor, henri: Actor, minutes: float | None
) -> None:
    study_id = a_screened_study(blobs).study_id
    if minutes is not None:
        claim(study_id, grace, minutes=minutes)
    take_over(study_id, henri)
    with transaction() as session:
        assert session.get_one(Study, study_id).claimed_by_name == "henri"
        assert take_overs(session) == 0


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
def test_without_a_reason_that_can_be_shown_nothing_is_taken(
    blobs: Blobs, grace: Actor, henri: Actor, reason: str
) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    with pytest.raises(Unprocessable, match="at most 500 characters"):
        take_over(study_id, henri, reason)
    with transaction() as session:
        assert session.get_one(Study, study_id).claimed_by_name == "grace"


def test_a_reason_that_names_the_patient_does_not_go_on_record(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    with transaction() as session:
        name = session.get_one(Study, study_id).patient_name
    assert name
    with pytest.raises(Unprocessable, match="names the patient"):
        take_over(study_id, henri, f"The parents of {name.split('^')[0]} ask for it.")
    with transaction() as session:
        assert session.get_one(Study, study_id).claimed_by_name == "grace"
        assert take_overs(session) == 0
    take_over(study_id, henri, "The parents ask for it.")


def test_only_a_radiologist_takes_over_and_nobody_what_is_signed(
    blobs: Blobs, grace: Actor, henri: Actor
) -> None:
    study_id = a_screened_study(blobs).study_id
    claim(study_id, grace)
    with transaction() as session:
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
    with pytest.raises(Forbidden):
        take_over(study_id, ada)
    with transaction() as session:
        seen = session.get_one(Study, study_id).revision
        review.sign(session, study_id=study_id, by=grace, revision=seen, confirm=True, findings={})
    with pytest.raises(Conflict, match="signed cannot be claimed"):
        take_over(study_id, henri)
