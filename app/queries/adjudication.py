"""Studies whose readers disagree, with what each of them says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.commands import disagreement
from app.commands.adjudication import check_may_adjudicate
from app.commands.second_opinions import verdicts_hidden_from
from app.domain.roles import Actor, Permission
from app.domain.states import DONE
from app.errors import Conflict, Forbidden
from app.queries.cursor import read_cursor, write_cursor
from app.records import Image, Study


@dataclass(frozen=True, kw_only=True)
class Position:
    """What one reader says."""

    review_id: UUID
    reader: str
    findings: dict[str, Any]
    comment: str
    signed_at: datetime
    blind: bool
    """The network's opinion had never been shown to them."""


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """A study whose readers disagree."""

    study_id: UUID
    patient_name: str | None
    patient_id: str
    study_description: str | None
    image_id: UUID | None
    positions: tuple[Position, ...]
    """The oldest first."""
    findings: tuple[str, ...]
    """All that were spoken of, those in dispute first."""
    in_dispute: tuple[str, ...]
    refused: str | None
    """Why whoever asked may not adjudicate, in a sentence."""
    as_a_party: bool
    """They have signed the study, and may all the same."""


@dataclass(frozen=True, kw_only=True)
class DisputePage:
    """Disputes in order, and the cursor of the next page where there is one."""

    disputes: tuple[Dispute, ...]
    next_cursor: str | None


def count(session: Session, *, who: Actor) -> int:
    """How many wait for an adjudication that this person may know of; none for whoever signs nothing."""
    if not who.may(Permission.REVIEW):
        return 0
    return session.scalar(select(func.count()).select_from(Study).where(*_in_dispute(who))) or 0


def disputes(session: Session, *, who: Actor, cursor: str | None = None, size: int = 50) -> DisputePage:
    """The next `size` of those studies after the cursor, the longest signed first.

    Raises BadRequest for a cursor that is none of ours.
    """
    wanted = select(Study).where(*_in_dispute(who)).order_by(Study.signed_at, Study.id).limit(size + 1)
    if cursor is not None:
        wanted = wanted.where(tuple_(Study.signed_at, Study.id) > read_cursor(cursor))
    rows = session.scalars(wanted).all()
    last = rows[size - 1] if len(rows) > size else None
    return DisputePage(
        disputes=tuple(_dispute(session, study, who) for study in rows[:size]),
        next_cursor=write_cursor(last.signed_at, last.id) if last and last.signed_at else None,
    )


def of_study(session: Session, *, study_id: UUID, who: Actor) -> Dispute | None:
    """The disagreement on this study; None where there is none, or its readers are hidden from them."""
    study = session.scalar(select(Study).where(Study.id == study_id, *_in_dispute(who)))
    return _dispute(session, study, who) if study else None


def _in_dispute(who: Actor) -> tuple[Any, ...]:
    done = Study.state.in_([state.value for state in DONE])
    return (Study.disputed, done, ~verdicts_hidden_from(who))


def _dispute(session: Session, study: Study, who: Actor) -> Dispute:
    reviews = disagreement.positions(session, study_id=study.id)
    different = disagreement.differences(reviews)
    spoken = dict.fromkeys(finding for review in reviews for finding in review.findings)
    image = (
        select(Image.id)
        .where(Image.study_id == study.id, Image.superseded_by.is_(None))
        .order_by(Image.arrived_at, Image.id)
        .limit(1)
    )
    as_a_party, refused = False, None
    try:
        as_a_party = check_may_adjudicate(session, study, by=who)
    except (Conflict, Forbidden) as problem:
        refused = problem.detail
    return Dispute(
        study_id=study.id,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        study_description=study.study_description,
        image_id=session.scalar(image),
        positions=tuple(
            Position(
                review_id=review.id,
                reader=review.reviewer_name,
                findings=review.findings,
                comment=review.comment,
                signed_at=review.signed_at,
                blind=review.blind,
            )
            for review in reviews
        ),
        findings=(*different, *(finding for finding in spoken if finding not in different)),
        in_dispute=different,
        refused=refused,
        as_a_party=as_a_party,
    )
