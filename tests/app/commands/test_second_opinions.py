"""Second opinions: who asks whom, what the colleague sees first, and what becomes of the answer."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app.blobs import Blobs
from app.commands import consult, people, review, second_opinions, withdrawal
from app.commands.review import Signed, Statement
from app.domain.roles import SYSTEM, Actor, Role
from app.domain.states import State
from app.errors import Conflict, Forbidden, Problem, Unprocessable
from app.queries import second_opinions as queries
from app.queries import studies
from app.queries.second_opinions import Correspondence
from app.queries.studies import StudyShown
from app.records import AuditEvent, Review, SecondOpinion, Study
from app.records.engine import transaction
from tests.builders import a_screened_study, a_user, revision_of


@pytest.fixture
def readers(database: str) -> tuple[Actor, Actor, Actor]:
    with transaction() as session:
        return tuple(a_user(session, name, Role.RADIOLOGIST) for name in ("grace", "henri", "irma"))  # type: ignore[return-value]


def sign(
    study_id: UUID, by: Actor, say: Statement = Statement.PRESENT, *, undo: timedelta = timedelta(0)
) -> Signed:
    with transaction() as session:
        return review.sign(
            session,
            study_id=study_id,
            by=by,
            revision=revision_of(study_id),
            confirm=False,
            findings={"pneumonia": say},
            comment=f"{by.name} looked",
            undo=undo,
        )


def ask(study_id: UUID, by: Actor, of: Actor, question: str = "Left lower lobe?") -> UUID:
    assert of.id is not None
    with transaction() as session:
        return consult.ask(session, study_id=study_id, of=of.id, question=question, by=by)


def letters(who: Actor) -> Correspondence:
    with transaction() as session:
        return queries.correspondence(session, who=who)


def shown(study_id: UUID, to: Actor) -> StudyShown:
    with transaction() as session:
        return studies.show(session, study_id=study_id, to=to)


def test_a_colleague_reads_for_themselves_before_they_see_the_first_verdict(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, irma = readers
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace)
    ask(study_id, grace, henri)
    [asked] = letters(henri).asked
    assert (asked.study_id, asked.asked_by, asked.question) == (study_id, "grace", "Left lower lobe?")
    assert letters(grace) == letters(irma) == Correspondence()
    before = shown(study_id, henri)
    assert (before.verdicts_hidden, before.reviews, before.history) == (True, (), ())
    assert "grace looked" not in repr(before)
    assert [said.reviewer_name for said in shown(study_id, irma).reviews] == ["grace"]
    assert before.entry.state is State.SIGNED, "the state is as it was"

    sign(study_id, henri, Statement.ABSENT)
    after = shown(study_id, henri)
    assert [said.reviewer_name for said in after.reviews] == ["henri", "grace"]
    assert letters(henri).asked == ()
    [answer] = letters(grace).answers
    assert (answer.asked_of, answer.answer) == ("henri", {"pneumonia": "absent"})
    with transaction() as session:
        second_opinions.seen(session, study_id=study_id, by=grace)
    assert letters(grace).answers == ()
    with transaction() as session:
        actions = list(
            session.scalars(
                select(AuditEvent.action)
                .where(AuditEvent.action.startswith("second-opinion."))
                .order_by(AuditEvent.id)
            )
        )
    assert actions == ["second-opinion.asked", "second-opinion.given"]


def test_a_colleague_may_choose_to_see_the_verdict_first_which_is_on_record(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, irma = readers
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace)
    opinion_id = ask(study_id, grace, henri)
    with pytest.raises(Forbidden), transaction() as session:
        consult.show_verdicts(session, opinion_id=opinion_id, by=irma)
    with transaction() as session:
        assert consult.show_verdicts(session, opinion_id=opinion_id, by=henri) == study_id
    assert [said.reviewer_name for said in shown(study_id, henri).reviews] == ["grace"]
    assert letters(henri).asked[0].verdicts_shown
    with transaction() as session:
        action = "second-opinion.verdict-shown"
        assert session.scalars(select(AuditEvent.actor_name).where(AuditEvent.action == action)).all() == [
            "henri"
        ]


def test_what_is_answered_or_taken_back_shows_nobody_a_verdict_on_record(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, _ = readers
    study_id, other = (a_screened_study(blobs).study_id for _ in range(2))
    sign(study_id, grace)
    sign(other, grace)
    answered, withdrawn = ask(study_id, grace, henri), ask(other, grace, henri)
    sign(study_id, henri)
    with transaction() as session:
        consult.withdraw(session, opinion_id=withdrawn, by=grace)
    for opinion_id, words in ((answered, "has been given already"), (withdrawn, "has been taken back")):
        with pytest.raises(Conflict, match=words), transaction() as session:
            consult.show_verdicts(session, opinion_id=opinion_id, by=henri)
    with transaction() as session:
        assert session.scalars(select(SecondOpinion.verdict_shown_at)).all() == [None, None]


def test_who_holds_a_study_asks_before_signing_and_lets_go_of_it(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, _ = readers
    study_id = a_screened_study(blobs).study_id
    with pytest.raises(Conflict, match="Claim the study or sign it first"):
        ask(study_id, grace, henri)
    with transaction() as session:
        review.claim(session, study_id=study_id, by=grace, minutes=5)
    ask(study_id, grace, henri)
    with transaction() as session:
        assert session.get_one(Study, study_id).state == State.SCREENED.value
    assert sign(study_id, henri).state is State.SIGNED


def test_the_question_is_withdrawn_by_its_asker_alone(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, _ = readers
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace)
    opinion_id = ask(study_id, grace, henri)
    with pytest.raises(Forbidden), transaction() as session:
        consult.withdraw(session, opinion_id=opinion_id, by=henri)
    for _again in range(2):
        with transaction() as session:
            consult.withdraw(session, opinion_id=opinion_id, by=grace)
    assert letters(henri).asked == ()
    assert not shown(study_id, henri).verdicts_hidden
    sign(study_id, henri)
    assert letters(grace).answers == (), "nobody is told of what they no longer ask"
    again = a_screened_study(blobs).study_id
    sign(again, grace)
    given = ask(again, grace, henri)
    sign(again, henri)
    with pytest.raises(Conflict, match="given already"), transaction() as session:
        consult.withdraw(session, opinion_id=given, by=grace)


def test_a_withdrawn_answer_leaves_the_question_open(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, _ = readers
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace)
    ask(study_id, grace, henri)
    signed = sign(study_id, henri, undo=timedelta(seconds=60))
    assert letters(grace).answers
    with transaction() as session:
        withdrawal.withdraw(session, study_id=study_id, review_id=signed.review_id, by=henri, minutes=5)
    assert letters(grace).answers == ()
    assert len(letters(henri).asked) == 1
    assert shown(study_id, henri).verdicts_hidden
    sign(study_id, henri)
    assert letters(grace).answers
    with transaction() as session:
        saw = session.scalars(select(SecondOpinion.verdict_shown_at)).one()
    assert saw is not None, "while the first answer stood, the other verdict was before him"


def test_who_cannot_be_asked_is_refused_in_a_sentence(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, irma = readers
    study_id = a_screened_study(blobs).study_id
    sign(study_id, grace)
    sign(study_id, irma)
    with transaction() as session:
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
        gone = a_user(session, "jan", Role.RADIOLOGIST)
        assert gone.id is not None
        people.disable_user(session, user_id=gone.id, by=SYSTEM)
    refused: list[tuple[Actor, type[Problem], str]] = [
        (grace, Unprocessable, "somebody else's"),
        (ada, Unprocessable, "a radiologist"),
        (gone, Conflict, "Jan's account is disabled"),
        (irma, Conflict, "has signed this study already"),
    ]
    for of, kind, words in refused:
        with pytest.raises(kind, match=words):
            ask(study_id, grace, of)
    with pytest.raises(Unprocessable, match="2,000 characters"):
        ask(study_id, grace, henri, "x" * 2001)
    first = ask(study_id, grace, henri, "Left?")
    with pytest.raises(Conflict, match="asked about this study already"):
        ask(study_id, grace, henri, "And on the right?")
    assert ask(study_id, grace, henri, " Left? ") == first, "sent twice, it is asked once"
    with transaction() as session:
        assert [one.asked_of_name for one in session.scalars(select(SecondOpinion))] == ["henri"]
        assert "jan" not in [one.username for one in queries.colleagues(session, of=grace)]


def test_a_second_opinion_of_a_drawn_study_is_blind(
    readers: tuple[Actor, Actor, Actor], blobs: Blobs
) -> None:
    grace, henri, _ = readers
    study_id = a_screened_study(blobs).study_id
    with transaction() as session:
        session.get_one(Study, study_id).blind = True
    sign(study_id, grace)
    ask(study_id, grace, henri)
    assert shown(study_id, henri).entry.blind
    given = sign(study_id, henri)
    with transaction() as session:
        assert session.get_one(Review, given.review_id).blind
