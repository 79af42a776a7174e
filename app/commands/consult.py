"""Consult: the reader of a study asks a colleague, by name, who reads it and signs for themselves.

By default the colleague sees image and question, not the verdicts of others, until their own is signed.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.commands import audit, review
from app.commands.ranking import announce
from app.commands.second_opinions import is_open
from app.domain.roles import Actor, Role
from app.domain.states import State
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records import Review, SecondOpinion, Study, User
from app.records.base import now
from app.records.review import stands

LONGEST_QUESTION = 2000


def ask(session: Session, *, study_id: UUID, of: UUID, question: str, by: Actor) -> UUID:
    """The study stands on the colleague's worklist, with the question; returns the second opinion's id.
    The same question of the same asker, sent again while it is open, is the first one.

    Whoever holds a study or has signed it may ask; the hold ends, so that the colleague can sign. Raises
    Conflict for a study that is not the asker's, for a colleague who is disabled, has been asked already or
    has signed the study, Unprocessable for somebody who is no radiologist or for oneself.
    """
    review.check_may_review(by)
    study = review.locked(session, study_id)
    held = study.state == State.CLAIMED.value and study.claimed_by_name == by.name
    if by.kind != "user" or by.id is None:
        raise Forbidden("Only a person asks a colleague for a second opinion.")
    asked = session.scalars(
        select(SecondOpinion).where(
            SecondOpinion.study_id == study.id, SecondOpinion.asked_of == of, is_open()
        )
    ).first()
    if asked is not None and (asked.asked_by, asked.question) == (by.id, question.strip()):
        return asked.id
    if not held and not _has_signed(session, study.id, by.id):
        raise Conflict("Claim the study or sign it first: its reader asks for a second opinion.")
    colleague = session.get(User, of, with_for_update={"read": True})
    if colleague is None or Role.RADIOLOGIST.value not in colleague.roles:
        raise Unprocessable("Ask a radiologist of this site.")
    if colleague.id == by.id:
        raise Unprocessable("A second opinion is somebody else's. Choose a colleague.")
    if colleague.disabled_at is not None:
        raise Conflict(f"{colleague.display_name}'s account is disabled. Ask somebody else.")
    if len(question) > LONGEST_QUESTION:
        raise Unprocessable(f"A question has at most {LONGEST_QUESTION:,} characters.")
    if _has_signed(session, study.id, colleague.id):
        raise Conflict(f"{colleague.display_name} has signed this study already; the history says what.")
    if asked is not None:
        raise Conflict(f"{colleague.display_name} has been asked about this study already.")
    opinion = SecondOpinion(
        id=uuid4(),
        study_id=study.id,
        asked_by=by.id,
        asked_by_name=by.name,
        asked_of=colleague.id,
        asked_of_name=colleague.username,
        question=question.strip(),
    )
    session.add(opinion)
    audit.record(
        session,
        action="second-opinion.asked",
        by=by,
        study_id=study.id,
        subject_id=opinion.id,
        of=colleague.username,
    )
    if held:
        review.release(session, study_id=study.id, by=by)
    announce(session, study)
    return opinion.id


def withdraw(session: Session, *, opinion_id: UUID, by: Actor) -> UUID:
    """The colleague is no longer asked; returns the study's id. Again does nothing.

    Raises Forbidden for anybody but the asker, Conflict where it was answered.
    """
    opinion = _locked(session, opinion_id)
    if opinion.asked_by != by.id:
        raise Forbidden("Only who asked for a second opinion can withdraw it.")
    if opinion.withdrawn_at is None:
        if not _is_open(session, opinion.id):
            raise Conflict("The second opinion has been given already.")
        opinion.withdrawn_at = now()
        _on_record(session, opinion, by=by, action="second-opinion.withdrawn")
    return opinion.study_id


def show_verdicts(session: Session, *, opinion_id: UUID, by: Actor) -> UUID:
    """The colleague sees the verdicts of others from now on, which is on record; returns the study's id.

    Again does nothing. Raises Forbidden for anybody else, Conflict where it was answered or withdrawn.
    """
    opinion = _locked(session, opinion_id)
    if opinion.asked_of != by.id:
        raise Forbidden("Only who is asked for a second opinion chooses what they see before it.")
    if opinion.verdict_shown_at is None:
        if opinion.withdrawn_at is not None:
            raise Conflict("The question has been taken back.")
        if not _is_open(session, opinion.id):
            raise Conflict("The second opinion has been given already.")
        opinion.verdict_shown_at = now()
        _on_record(session, opinion, by=by, action="second-opinion.verdict-shown")
    return opinion.study_id


def _has_signed(session: Session, study_id: UUID, user_id: UUID) -> bool:
    own = exists().where(
        Review.study_id == study_id, Review.reviewer_kind == "user", Review.reviewer_id == user_id, stands()
    )
    return bool(session.scalar(select(own)))


def _locked(session: Session, opinion_id: UUID) -> SecondOpinion:
    opinion = session.get(SecondOpinion, opinion_id, with_for_update=True)
    if opinion is None:
        raise NotFound("There is no such second opinion.")
    return opinion


def _is_open(session: Session, opinion_id: UUID) -> bool:
    return (
        session.scalar(select(SecondOpinion.id).where(SecondOpinion.id == opinion_id, is_open())) is not None
    )


def _on_record(session: Session, opinion: SecondOpinion, *, by: Actor, action: str) -> None:
    audit.record(session, action=action, by=by, study_id=opinion.study_id, subject_id=opinion.id)
    announce(session, session.get_one(Study, opinion.study_id))
