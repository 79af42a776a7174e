"""Retention: studies whose time is over are deleted, so many at once; off unless the site asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from app.blobs import Blobs
from app.commands import audit, deletion, deletion_learning, deletion_rows
from app.commands.deletion import Deleted
from app.domain.roles import SYSTEM
from app.domain.states import DONE
from app.records import (
    Deletion,
    Delivery,
    IdentityConflict,
    Image,
    PlacedImage,
    SecondOpinion,
    SiteChoice,
    Study,
)

LOOKED = "retention_looked"
"""The site's choice that keeps when retention looked last, and until when it is held (`Held`)."""
HELD_FOR = timedelta(days=7)
"""From a step of the clock on nothing is deleted for so long; between two looks more is a step."""
MOST_A_DAY = 2000
_AT_ONCE = 50
_NOTED_EACH = timedelta(hours=1)
_GONE_BACK = timedelta(minutes=5)
_DAY = timedelta(days=1)

_log = structlog.get_logger(__name__)


def apply(session: Session, blobs: Blobs, *, days: int) -> Deleted | None:
    """At most fifty studies that were signed more than so many days ago are deleted, and 2,000 within a day;
    None where there are none.

    Never one that is not signed, is claimed, due for the network, disputed, in an open conflict or waiting
    for a second opinion, of which a result is still to be sent, or whose image a snapshot has met. A prior
    goes once it has been here for so long and the patient has no current study any more. None either while
    the clock is not trusted (`_is_held`). Raises Conflict where somebody is at work on one; the next round
    tries again.
    """
    with deletion_rows.impatient(session):
        moment = session.execute(select(func.clock_timestamp())).scalar_one()
        if _is_held(session, moment):
            return None
        over, most = _over(moment - timedelta(days=days)), min(_AT_ONCE, _left_today(session, moment))
        ids = session.scalars(select(Study.id).where(over).order_by(Study.arrived_at).limit(most)).all()
        if not ids:
            return None
        deletion_learning.take_turns(session)
        deletion_rows.lock(session, ids)
        still = session.scalars(select(Study.id).where(over, Study.id.in_(ids))).all()
        return deletion.delete_expired(
            session, blobs, ids=still, reason=f"Signed more than {days} days ago.", by=SYSTEM
        )


def _is_held(session: Session, moment: datetime) -> bool:
    """True from the first look, and from one that comes long after the last or before it, for a week: a clock
    that was set wrong would make everything old at once. Whoever sees it on record has that time to mend it.
    """
    made = insert(SiteChoice).values(name=LOOKED, value={}, chosen_by_name=SYSTEM.name)
    session.execute(made.on_conflict_do_nothing())
    row = session.scalars(select(SiteChoice).where(SiteChoice.name == LOOKED).with_for_update()).one()
    at, until = _time(row.value.get("at")), _time(row.value.get("held_until"))
    if at is None or not -_GONE_BACK <= moment - at <= HELD_FOR:
        until = moment + HELD_FOR
        last = at.isoformat() if at else None
        audit.record(session, action="retention.held", by=SYSTEM, until=until.isoformat(), last_look=last)
        _log.warning("retention_held", until=until.isoformat(), last_look=last)
        at = None
    if until is not None and until <= moment:
        at = until = None
    if at is None or moment - at > _NOTED_EACH:
        row.value = {"at": moment.isoformat(), "held_until": until.isoformat() if until else None}
        row.chosen_at = moment
    return until is not None


def _time(kept: str | None) -> datetime | None:
    return datetime.fromisoformat(kept) if kept else None


def _left_today(session: Session, moment: datetime) -> int:
    gone = select(func.coalesce(func.sum(func.jsonb_array_length(Deletion.studies)), 0)).where(
        Deletion.kind == "retention", Deletion.deleted_at > moment - _DAY
    )
    return max(0, MOST_A_DAY - int(session.scalar(gone) or 0))


def _over(before: datetime) -> ColumnElement[bool]:
    other = aliased(Study)
    has_current = exists().where(
        other.patient_id == Study.patient_id,
        other.issuer_of_patient_id == Study.issuer_of_patient_id,
        other.unidentified_as == Study.unidentified_as,
        other.purpose == "current",
    )
    return and_(
        or_(
            and_(
                Study.state.in_([state.value for state in DONE]),
                Study.purpose == "current",
                Study.signed_at < before,
            ),
            and_(Study.purpose == "prior", Study.arrived_at < before, ~has_current),
        ),
        Study.claimed_at.is_(None),
        Study.screening_due.is_(False),
        Study.screening_lease.is_(None),
        Study.disputed.is_(False),
        ~exists().where(Delivery.study_id == Study.id, Delivery.state == "pending"),
        ~exists().where(
            SecondOpinion.study_id == Study.id,
            SecondOpinion.review_id.is_(None),
            SecondOpinion.withdrawn_at.is_(None),
        ),
        ~exists().where(
            IdentityConflict.resolved_at.is_(None),
            or_(IdentityConflict.study_id == Study.id, IdentityConflict.other_study_id == Study.id),
        ),
        ~exists().where(Image.study_id == Study.id, PlacedImage.image_sha256 == Image.sha256),
    )
