"""Adjudicate: where two readers disagree, a third radiologist signs what is so."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands import audit, disagreement, review, second_opinions
from app.commands.review import Signed, Statement
from app.domain.marks import Mark
from app.domain.roles import Actor, Role
from app.domain.states import DONE, State
from app.errors import Conflict, Forbidden
from app.records import Adjudication, Review, Study, User
from app.records.review import stands


def check_may_adjudicate(session: Session, study: Study, *, by: Actor) -> bool:
    """True where `by` has signed the study and may adjudicate all the same, False for a neutral reader.

    Whoever has signed it is a party, also where an adjudication has settled what they said.
    Raises Forbidden for whoever is no radiologist, Conflict where nothing is in dispute, where `by` is asked
    for an opinion of their own and may not know of it, or where a radiologist who has not read it is there.
    """
    review.check_may_review(by)
    if by.kind != "user":
        raise Forbidden("Only a person adjudicates.")
    parties = disagreement.positions(session, study_id=study.id)
    unseen = second_opinions.are_verdicts_hidden(session, study_id=study.id, who=by)
    if State(study.state) not in DONE or unseen or not disagreement.differences(parties):
        raise Conflict("The readings of this study agree; there is nothing to adjudicate.")
    signed = select(Review.reviewer_id).where(Review.study_id == study.id, stands())
    readers = set(session.scalars(signed))
    if by.id not in readers:
        return False
    if radiologists(session, besides=readers):
        raise Conflict("You have read this study. A radiologist who has not read it adjudicates.")
    return True


def adjudicate(
    session: Session,
    *,
    study_id: UUID,
    by: Actor,
    revision: int,
    findings: dict[str, Statement],
    comment: str = "",
    marks: tuple[Mark, ...] = (),
    undo: timedelta = timedelta(0),
) -> Signed:
    """The verdict stands as adjudicated and leaves like an amendment; otherwise as `review.sign`."""
    study = review.locked(session, study_id)
    by_a_party = check_may_adjudicate(session, study, by=by)
    between = [str(one.id) for one in disagreement.positions(session, study_id=study.id)]
    signed = review.sign(
        session,
        study_id=study_id,
        by=by,
        revision=revision,
        confirm=False,
        findings=findings,
        comment=comment,
        marks=marks,
        undo=undo,
    )
    session.add(
        Adjudication(review_id=signed.review_id, study_id=study_id, between=between, by_a_party=by_a_party)
    )
    audit.record(
        session,
        action="study.adjudicated",
        by=by,
        study_id=study_id,
        subject_id=signed.review_id,
        by_a_party=by_a_party,
    )
    disagreement.weigh(session, study)
    return signed


def radiologists(session: Session, *, besides: Collection[UUID]) -> int:
    """How many others can sign in."""
    counted = select(func.count()).where(
        User.disabled_at.is_(None), User.roles.contains([Role.RADIOLOGIST.value]), User.id.not_in(besides)
    )
    return session.scalar(counted) or 0
