"""Second opinions: which are open, whom they keep from other verdicts, and the verdict that answers one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, select, update
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.records import Review, SecondOpinion, Study
from app.records.base import now
from app.records.review import stands


def is_answered() -> ColumnElement[bool]:
    """As SQL over second opinions: the colleague's verdict stands."""
    verdict = exists().where(Review.id == SecondOpinion.review_id, stands())
    return verdict.correlate(SecondOpinion)


def is_open() -> ColumnElement[bool]:
    """As SQL over second opinions: the colleague is still asked."""
    return and_(SecondOpinion.withdrawn_at.is_(None), ~is_answered())


def verdicts_hidden_from(who: Actor) -> ColumnElement[bool]:
    """As SQL over studies: this person is asked for an opinion of their own and sees no other before it."""
    if who.kind != "user":
        return false()
    asked = exists().where(
        SecondOpinion.study_id == Study.id,
        SecondOpinion.asked_of == who.id,
        SecondOpinion.verdict_shown_at.is_(None),
        is_open(),
    )
    return asked.correlate(Study)


def is_asked_by(reader: str) -> ColumnElement[bool]:
    """As SQL over studies: this reader has asked a colleague, who has yet to answer."""
    asked = exists().where(
        SecondOpinion.study_id == Study.id, SecondOpinion.asked_by_name == reader, is_open()
    )
    return asked.correlate(Study)


def are_verdicts_hidden(session: Session, *, study_id: UUID, who: Actor) -> bool:
    """True where the verdicts of others on this study are hidden from them."""
    return bool(session.scalar(select(verdicts_hidden_from(who)).where(Study.id == study_id)))


def answer(session: Session, *, study: Study, given: Review, by: Actor) -> None:
    """The verdict that `by` has just signed answers whatever they were asked about the study."""
    if by.kind != "user":
        return
    asked = session.scalars(
        select(SecondOpinion).where(
            SecondOpinion.study_id == study.id, SecondOpinion.asked_of == by.id, is_open()
        )
    ).all()
    # Whoever has signed and taken it back was shown the other verdicts meanwhile.
    earlier = exists().where(
        Review.study_id == study.id,
        Review.reviewer_kind == by.kind,
        Review.reviewer_id == by.id,
        Review.id != given.id,
    )
    saw = bool(asked) and given.amends_id is not None and session.scalar(select(earlier))
    for opinion in asked:
        opinion.review_id, opinion.answer_seen_at = given.id, None
        if saw and opinion.verdict_shown_at is None:
            opinion.verdict_shown_at = now()
        audit.record(session, action="second-opinion.given", by=by, study_id=study.id, subject_id=opinion.id)


def seen(session: Session, *, study_id: UUID, by: Actor) -> None:
    """The asker has the study before them: what was answered there is no news any more."""
    session.execute(
        update(SecondOpinion)
        .where(
            SecondOpinion.study_id == study_id,
            SecondOpinion.asked_by == by.id,
            SecondOpinion.answer_seen_at.is_(None),
            is_answered(),
        )
        .values(answer_seen_at=now())
        .execution_options(synchronize_session=False)
    )
