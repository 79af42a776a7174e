"""Retention: studies whose time is over are deleted, so many at once; off unless the site asks for it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app.blobs import Blobs
from app.commands import deletion, deletion_learning, deletion_rows
from app.commands.deletion import Deleted
from app.domain.roles import SYSTEM
from app.domain.states import DONE
from app.records import Delivery, IdentityConflict, Image, PlacedImage, SecondOpinion, Study
from app.records.base import now

_AT_ONCE = 50


def apply(session: Session, blobs: Blobs, *, days: int) -> Deleted | None:
    """At most fifty studies that were signed more than so many days ago are deleted; None where there are
    none.

    Never one that is not signed, is claimed, due for the network, disputed, in an open conflict or waiting
    for a second opinion, of which a result is still to be sent, or whose image a snapshot has met. A prior
    goes once it has been here for so long and the patient has no current study any more. Raises Conflict
    where somebody is at work on one; the next round tries again.
    """
    over = _over(days)
    with deletion_rows.impatient(session):
        ids = session.scalars(select(Study.id).where(over).order_by(Study.arrived_at).limit(_AT_ONCE)).all()
        if not ids:
            return None
        deletion_learning.take_turns(session)
        deletion_rows.lock(session, ids)
        still = session.scalars(select(Study.id).where(over, Study.id.in_(ids))).all()
        return deletion.delete_expired(
            session, blobs, ids=still, reason=f"Signed more than {days} days ago.", by=SYSTEM
        )


def _over(days: int) -> ColumnElement[bool]:
    before = now() - timedelta(days=days)
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
