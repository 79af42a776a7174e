"""Where a signature leads a reader, and where going on without one does."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import update

from app.blobs import Blobs
from app.commands import consult, opening, review
from app.domain.roles import Actor, Role
from app.queries.next_study import following, next_after
from app.records import Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import a_screened_study, a_user, an_admitted_study, sign

GRACE, HENRI = "grace", "henri"


@pytest.fixture
def grace(database: str) -> Actor:
    with transaction() as session:
        return a_user(session, GRACE, Role.RADIOLOGIST)


@pytest.fixture
def three(blobs: Blobs, database: str) -> list[UUID]:
    """Three studies that were read, in the order of the worklist; before them one that was not."""
    an_admitted_study(blobs)
    return [a_screened_study(blobs).study_id for _ in range(3)]


def signing(study_id: UUID | None, reader: str) -> UUID | None:
    with transaction() as session:
        return next_after(session, study_id=study_id, reader=reader)


def going_on(study_id: UUID, reader: str) -> UUID | None:
    with transaction() as session:
        return following(session, study_id=study_id, reader=reader)


def ask(study_id: UUID, *, by: Actor) -> UUID:
    """The holder asks a colleague, which ends the hold."""
    with transaction() as session:
        of = a_user(session, "irma", Role.RADIOLOGIST)
        review.claim(session, study_id=study_id, by=by, minutes=5)
        assert of.id is not None
        return consult.ask(session, study_id=study_id, of=of.id, question="", by=by)


def test_the_next_study_is_the_first_that_nobody_else_holds(three: list[UUID], grace: Actor) -> None:
    first, second, third = three
    with transaction() as session:
        assert opening.open_study(session, study_id=first, by=grace, minutes=5)
    assert signing(None, GRACE) == first
    assert signing(first, GRACE) == second
    assert signing(None, HENRI) == second, "an open study is passed over"
    assert signing(second, HENRI) == third
    assert going_on(third, HENRI) == second


def test_going_on_without_signing_comes_to_each_study_and_round_again(three: list[UUID]) -> None:
    first, second, third = three
    assert [going_on(study, GRACE) for study in three] == [second, third, first]
    assert [signing(study, GRACE) for study in three] == [second, first, first]


def test_studies_in_one_place_are_gone_through_one_by_one(three: list[UUID]) -> None:
    with transaction() as session:
        moment = now()
        session.execute(update(Study).values(arrived_at=moment, rank_at=moment))
    seen = [three[0]]
    for _ in three[1:]:
        after = going_on(seen[-1], GRACE)
        assert after is not None
        seen.append(after)
    assert set(seen) == set(three)
    assert going_on(seen[-1], GRACE) == seen[0]


def test_a_signed_study_has_its_place_to_go_on_from(three: list[UUID]) -> None:
    first, second, third = three
    sign(second)
    assert going_on(second, GRACE) == third
    sign(third)
    assert (going_on(third, GRACE), going_on(first, GRACE)) == (first, None)


def test_nobody_is_led_back_to_what_they_have_asked_a_colleague_about(
    three: list[UUID], grace: Actor
) -> None:
    first, second, third = three
    asked = ask(first, by=grace)
    assert (signing(second, GRACE), going_on(third, GRACE)) == (third, second)
    assert signing(second, HENRI) == signing(second, "irma") == first, "others may read it"
    with transaction() as session:
        consult.withdraw(session, opinion_id=asked, by=grace)
    assert signing(second, GRACE) == first


def test_an_answered_question_keeps_nobody_from_a_study_that_is_open_again(
    three: list[UUID], grace: Actor
) -> None:
    first, second, _ = three
    ask(first, by=grace)
    sign(first, by="irma")
    with transaction() as session:  # as a further image does
        session.execute(update(Study).where(Study.id == first).values(state="reopened"))
    assert signing(second, GRACE) == first
