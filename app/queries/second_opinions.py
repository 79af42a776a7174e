"""Second opinions as their two sides see them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.commands.second_opinions import is_answered, is_open, verdicts_hidden_from
from app.domain.roles import Actor, Permission, Role
from app.queries.cursor import read_cursor, write_cursor
from app.records import Review, SecondOpinion, Study, User


@dataclass(frozen=True, kw_only=True)
class SecondOpinionShown:
    """A question to a colleague; `answer` is what their verdict says of each finding, None before."""

    opinion_id: UUID
    study_id: UUID
    patient_name: str | None
    patient_id: str
    asked_by: str
    asked_of: str
    asked_by_id: UUID
    asked_of_id: UUID
    question: str
    asked_at: datetime
    verdicts_shown: bool
    """The colleague chose to see the verdicts of others first."""
    answer: dict[str, Any] | None
    answered_at: datetime | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """A radiologist who can be asked."""

    user_id: UUID
    username: str
    display_name: str


@dataclass(frozen=True, kw_only=True)
class SecondOpinionPage:
    """Second opinions in order, and the cursor of the next page where there is one."""

    opinions: tuple[SecondOpinionShown, ...] = ()
    next_cursor: str | None = None


def asked_of(session: Session, *, who: Actor, cursor: str | None = None, size: int = 50) -> SecondOpinionPage:
    """What this person is asked, the oldest first. Raises BadRequest for a cursor that is none of ours."""
    wanted = _joined().where(SecondOpinion.asked_of == who.id, is_open())
    if cursor is not None:
        wanted = wanted.where(tuple_(SecondOpinion.asked_at, SecondOpinion.id) > read_cursor(cursor))
    found = _shown(session, wanted.order_by(SecondOpinion.asked_at, SecondOpinion.id).limit(size + 1))
    last = found[size - 1] if len(found) > size else None
    return SecondOpinionPage(
        opinions=found[:size], next_cursor=write_cursor(last.asked_at, last.opinion_id) if last else None
    )


def answers_to(
    session: Session, *, who: Actor, cursor: str | None = None, size: int = 50
) -> SecondOpinionPage:
    """What this person asked and has not seen the answer of yet, the newest first. Where they are asked about
    the study themselves, that there is an answer is all they are told of it.

    Raises BadRequest for a cursor that is none of ours.
    """
    wanted = _joined().where(
        SecondOpinion.asked_by == who.id, SecondOpinion.answer_seen_at.is_(None), is_answered()
    )
    if cursor is not None:
        wanted = wanted.where(tuple_(Review.signed_at, SecondOpinion.id) < read_cursor(cursor))
    order = (Review.signed_at.desc(), SecondOpinion.id.desc())
    found = _shown(session, wanted.order_by(*order).limit(size + 1))
    ids = {one.study_id for one in found}
    unseen = set(session.scalars(select(Study.id).where(Study.id.in_(ids), verdicts_hidden_from(who))))
    found = tuple(replace(one, answer=None) if one.study_id in unseen else one for one in found)
    last = found[size - 1] if len(found) > size else None
    after = write_cursor(last.answered_at, last.opinion_id) if last and last.answered_at else None
    return SecondOpinionPage(opinions=found[:size], next_cursor=after)


def of_study(session: Session, *, study_id: UUID) -> tuple[SecondOpinionShown, ...]:
    """All that were asked about the study, the newest first."""
    wanted = _joined().where(SecondOpinion.study_id == study_id)
    return _shown(session, wanted.order_by(SecondOpinion.asked_at.desc(), SecondOpinion.id))


def colleagues(session: Session, *, of: Actor) -> tuple[Colleague, ...]:
    """The other radiologists who can sign in, by name."""
    rows = session.scalars(
        select(User)
        .where(User.disabled_at.is_(None), User.id != of.id, User.roles.contains([Role.RADIOLOGIST.value]))
        .order_by(User.display_name, User.username)
    )
    return tuple(
        Colleague(user_id=row.id, username=row.username, display_name=row.display_name) for row in rows
    )


def colleague_named(session: Session, username: str) -> UUID | None:
    """The id of whoever signs in by that name; None where nobody does."""
    return session.scalar(select(User.id).where(User.username == username))


def _joined() -> Any:
    return (
        select(SecondOpinion, Study.patient_name, Study.patient_id, Review, is_answered().label("answered"))
        .join(Study, Study.id == SecondOpinion.study_id)
        .outerjoin(Review, Review.id == SecondOpinion.review_id)
    )


def _shown(session: Session, wanted: Any) -> tuple[SecondOpinionShown, ...]:
    return tuple(
        SecondOpinionShown(
            opinion_id=row.id,
            study_id=row.study_id,
            patient_name=patient_name,
            patient_id=patient_id,
            asked_by=row.asked_by_name,
            asked_of=row.asked_of_name,
            asked_by_id=row.asked_by,
            asked_of_id=row.asked_of,
            question=row.question,
            asked_at=row.asked_at,
            verdicts_shown=row.verdict_shown_at is not None,
            answer=review.findings if answered else None,
            answered_at=review.signed_at if answered else None,
            withdrawn_at=row.withdrawn_at,
        )
        for row, patient_name, patient_id, review, answered in session.execute(wanted)
    )


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """What a person is asked and has not answered, and was answered and has not seen: the first of each."""

    asked: tuple[SecondOpinionShown, ...] = ()
    answers: tuple[SecondOpinionShown, ...] = ()
    more_asked: bool = False
    more_answers: bool = False


def correspondence(session: Session, *, who: Actor) -> Correspondence:
    """That of a radiologist; empty for everybody else."""
    if who.kind != "user" or not who.may(Permission.REVIEW):
        return Correspondence()
    asked, answers = asked_of(session, who=who), answers_to(session, who=who)
    return Correspondence(
        asked=asked.opinions,
        answers=answers.opinions,
        more_asked=asked.next_cursor is not None,
        more_answers=answers.next_cursor is not None,
    )
