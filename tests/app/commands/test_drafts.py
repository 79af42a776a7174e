"""Drafts: kept for their reader alone, until they are signed, discarded, or their reader or study is gone."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from app.blobs import Blobs
from app.commands import drafts, people, review, withdrawal
from app.commands.review import Statement
from app.domain.marks import Mark, Shape
from app.domain.roles import SYSTEM, Actor, Role
from app.errors import Conflict, Forbidden, NotFound, Problem, Unprocessable
from app.queries.drafts import DraftKept, of_reader
from app.records import AuditEvent, Draft, Review, Study
from app.records.base import now
from app.records.engine import transaction
from tests.builders import a_screened_study, a_user, revision_of

COMMENT = "Seen with the mother; motion."


@pytest.fixture
def readers(database: str) -> tuple[Actor, Actor]:
    with transaction() as session:
        return tuple(a_user(session, name, Role.RADIOLOGIST) for name in ("alice", "bob"))  # type: ignore[return-value]


def keep(study_id: UUID, by: Actor, /, **said: Any) -> None:
    filled_in: dict[str, Any] = {"findings": {"pneumonia": "absent"}, "comment": COMMENT, "marks": ()}
    whose: dict[str, Any] = {"study_id": study_id, "by": by, "revision": revision_of(study_id), "minutes": 15}
    with transaction() as session:
        drafts.keep(session, **(whose | filled_in | said))


def kept(study_id: UUID, to: Actor) -> DraftKept | None:
    with transaction() as session:
        return of_reader(session, study_id=study_id, reader=to)


def sign(study_id: UUID, by: Actor, *, undo: timedelta = timedelta(0)) -> UUID:
    with transaction() as session:
        return review.sign(
            session,
            study_id=study_id,
            by=by,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": Statement.ABSENT},
            undo=undo,
        ).review_id


def test_a_draft_is_its_readers_alone_and_the_last_one_counts(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, bob = readers
    study = a_screened_study(blobs)
    mark = Mark(image_id=study.image_id, finding="pneumonia", shape=Shape.BOX, x=1, y=2, width=3, height=4)
    keep(study.study_id, alice, comment="Half a")
    keep(study.study_id, alice, marks=[mark])
    keep(study.study_id, bob, comment="His own")
    draft = kept(study.study_id, alice)
    assert draft is not None
    assert (draft.findings, draft.comment, draft.marks) == (
        {"pneumonia": "absent"},
        COMMENT,
        [mark.as_json()],
    )
    assert not draft.moved
    with transaction() as session:
        assert len(session.scalars(select(Draft)).all()) == 2
        drafts.discard(session, study_id=study.study_id, by=alice)
    assert kept(study.study_id, alice) is None
    his = kept(study.study_id, bob)
    assert his is not None
    assert his.comment == "His own"


def test_a_draft_changes_nothing_of_the_study_and_is_not_on_record(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        before = len(session.scalars(select(AuditEvent)).all())
    revision = revision_of(study_id)
    keep(study_id, readers[0])
    with transaction() as session:
        assert len(session.scalars(select(AuditEvent)).all()) == before
        assert session.get_one(Study, study_id).state == "screened"
    assert revision_of(study_id) == revision


def hold(study_id: UUID, by: Actor, *, left: timedelta) -> datetime:
    """`by` holds the study, for so long from now."""
    until = now() + left
    with transaction() as session:
        review.claim(session, study_id=study_id, by=by, minutes=1)
        session.execute(update(Study).values(claim_expires_at=until))
    return until


def held(study_id: UUID) -> tuple[str, str | None, datetime | None]:
    with transaction() as session:
        study = session.get_one(Study, study_id)
        return study.state, study.claimed_by_name, study.claim_expires_at


def test_who_writes_goes_on_holding_the_study_and_no_row_is_written_of_it(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, bob = readers
    study_id = a_screened_study(blobs).study_id
    hold(study_id, alice, left=timedelta(seconds=30))
    with transaction() as session:
        before = len(session.scalars(select(AuditEvent)).all())
    keep(study_id, bob)  # who writes what they cannot sign yet
    state, holder, until = held(study_id)
    assert until is not None and until < now() + timedelta(minutes=1), "it is not his to prolong"
    keep(study_id, alice)
    state, holder, until = held(study_id)
    assert (state, holder) == ("claimed", "alice")
    assert until is not None and until > now() + timedelta(minutes=14)
    keep(study_id, alice, comment="One word more")
    assert held(study_id) == (state, holder, until), "not with every word"
    with transaction() as session:
        assert len(session.scalars(select(AuditEvent)).all()) == before


def test_a_hold_that_has_ended_is_not_begun_anew_by_writing(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, bob = readers
    study_id = a_screened_study(blobs).study_id
    until = hold(study_id, alice, left=timedelta(seconds=-1))
    keep(study_id, alice)
    assert held(study_id) == ("claimed", "alice", until), "over, though no sweeper has come by"
    with transaction() as session:
        review.expire_claims(session)
    keep(study_id, alice)
    assert held(study_id) == ("screened", None, None)
    his = hold(study_id, bob, left=timedelta(minutes=5))
    keep(study_id, alice)
    assert held(study_id) == ("claimed", "bob", his)


def test_a_hold_of_less_than_a_minute_lasts_while_its_holder_writes(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    study_id = a_screened_study(blobs).study_id
    before = hold(study_id, readers[0], left=timedelta(seconds=9))
    keep(study_id, readers[0], minutes=0.5)
    until = held(study_id)[2]
    assert until is not None and until > before + timedelta(seconds=20)


def test_a_signature_or_an_amendment_takes_its_signers_draft_and_no_other(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, bob = readers
    study_id = a_screened_study(blobs).study_id
    for reader in readers:
        keep(study_id, reader)
    sign(study_id, alice)
    assert kept(study_id, alice) is None
    his = kept(study_id, bob)
    assert his is not None
    assert his.moved, "the study has changed since he wrote it"
    keep(study_id, alice, comment="On second thoughts")
    sign(study_id, alice)
    assert kept(study_id, alice) is None
    sign(study_id, bob)
    assert kept(study_id, bob) is None


def test_a_draft_that_arrives_after_its_own_signature_does_not_come_back(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, bob = readers
    study_id = a_screened_study(blobs).study_id
    revision = revision_of(study_id)
    signed = sign(study_id, alice, undo=timedelta(seconds=60))
    with pytest.raises(Conflict, match="You have signed this study since"):
        keep(study_id, alice, revision=revision)
    with transaction() as session:
        withdrawal.withdraw(session, study_id=study_id, review_id=signed, by=alice, minutes=5)
    with pytest.raises(Conflict, match="You have signed this study since"):
        keep(study_id, alice, revision=revision)
    assert kept(study_id, alice) is None
    keep(study_id, alice)  # what is written after the signature was taken back
    keep(study_id, bob, revision=revision)  # who has not signed keeps what was written of before
    assert kept(study_id, alice)
    his = kept(study_id, bob)
    assert his is not None
    assert his.moved


def test_a_draft_sent_while_its_signature_is_stored_waits_and_is_refused(
    readers: tuple[Actor, Actor], blobs: Blobs
) -> None:
    alice, _ = readers
    study_id = a_screened_study(blobs).study_id
    revision = revision_of(study_id)
    refused: list[Problem] = []

    def late() -> None:
        try:
            keep(study_id, alice, revision=revision)
        except Problem as problem:
            refused.append(problem)

    thread = threading.Thread(target=late)
    with transaction() as session:
        review.sign(
            session,
            study_id=study_id,
            by=alice,
            revision=revision,
            confirm=False,
            findings={"pneumonia": Statement.ABSENT},
        )
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "it waits for the signature"
    thread.join(10)
    assert [type(problem) for problem in refused] == [Conflict]
    assert kept(study_id, alice) is None


def test_who_is_disabled_leaves_no_draft_and_keeps_none(readers: tuple[Actor, Actor], blobs: Blobs) -> None:
    alice, bob = readers
    study_id = a_screened_study(blobs).study_id
    for reader in readers:
        keep(study_id, reader)
    assert alice.id is not None
    with transaction() as session:
        people.disable_user(session, user_id=alice.id, by=SYSTEM)
    with pytest.raises(Forbidden):
        keep(study_id, alice)
    assert kept(study_id, alice) is None
    assert kept(study_id, bob)


_MARK = Mark(image_id=uuid4(), finding="pneumonia", shape=Shape.BOX, x=0, y=0, width=1, height=1)


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ({"comment": "x" * 10_001}, Unprocessable),
        ({"findings": {"x" * 101: "absent"}}, Unprocessable),
        ({"findings": {"": "absent"}}, Unprocessable),
        ({"findings": {f"finding {number}": "absent" for number in range(101)}}, Unprocessable),
        ({"marks": [_MARK] * 51}, Unprocessable),
        ({"study_id": uuid4(), "revision": 1}, NotFound),
        ({"by": SYSTEM}, Forbidden),
    ],
)
def test_what_no_form_of_ours_holds_is_not_kept(
    readers: tuple[Actor, Actor], blobs: Blobs, said: dict[str, Any], refusal: type[Problem]
) -> None:
    study_id = a_screened_study(blobs).study_id
    keep(study_id, readers[0])
    with pytest.raises(refusal):
        keep(study_id, readers[0], **said)
    with transaction() as session:
        assert [draft.comment for draft in session.scalars(select(Draft))] == [COMMENT], "that of before"
        assert session.scalars(select(Review)).all() == []
