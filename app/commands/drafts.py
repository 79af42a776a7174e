"""Drafts: what a reader has filled in is kept for them alone, until they sign or discard it.

That is not audited: it is no reading, prolongs at most its writer's own hold, as claiming anew does, and
nobody but its writer sees it. What becomes of it is on record with the signature; a row per pause in typing
would only hide the rows that count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands.ranking import announce
from app.domain.marks import MOST_MARKS, Mark
from app.domain.roles import Actor, Permission
from app.domain.states import State
from app.errors import Conflict, Forbidden, NotFound, Unprocessable
from app.records import Draft, Review, Study, User
from app.records.base import now

LONGEST_COMMENT = 10_000
_PROLONGED_EVERY = timedelta(minutes=1)
"""Live pages hear of a longer hold: not of each word."""
_MOST_FINDINGS = 100
_LONGEST_NAME = 100


def keep(
    session: Session,
    *,
    study_id: UUID,
    by: Actor,
    revision: int,
    findings: Mapping[str, str],
    comment: str,
    marks: Sequence[Mark],
    minutes: float,
) -> None:
    """What `by` has filled in is kept, in place of what they had filled in before. Where they hold the study,
    they do for so many minutes from now; a hold that has ended, and another's, is left as it is.

    `revision` is the one they have before them. Raises Conflict where they have signed from it: a draft that
    arrives after its own signature must not come back.
    """
    user = _reader(session, by)
    _prolong(session, study_id=study_id, by=by, hold=timedelta(minutes=minutes))
    # Whoever signs holds the study: their signature is there before this looks for it, or comes after this.
    held = select(Study.id).where(Study.id == study_id).with_for_update(read=True, key_share=True)
    if session.scalar(held) is None:
        raise NotFound("There is no such study.")
    if len(comment) > LONGEST_COMMENT:
        raise Unprocessable(f"A comment has at most {LONGEST_COMMENT:,} characters.")
    if len(findings) > _MOST_FINDINGS:
        raise Unprocessable(f"A draft has at most {_MOST_FINDINGS} findings.")
    if any(not 1 <= len(name) <= _LONGEST_NAME for name in findings):
        raise Unprocessable("A finding's name has 1 to 100 characters.")
    if len(marks) > MOST_MARKS:
        raise Unprocessable(f"A review has at most {MOST_MARKS} marks on its images.")
    signed = select(Review.id).where(
        Review.study_id == study_id,
        Review.reviewer_kind == "user",
        Review.reviewer_id == user.id,
        Review.study_revision >= revision,
    )
    if session.scalar(signed.limit(1)) is not None:
        raise Conflict("You have signed this study since; nothing was kept. Load the page again.")
    filled_in = {
        "revision": revision,
        "findings": dict(findings),
        "comment": comment,
        "marks": [mark.as_json() for mark in marks],
        "kept_at": now(),
    }
    kept = insert(Draft).values(user_id=user.id, study_id=study_id, **filled_in)
    session.execute(kept.on_conflict_do_update(index_elements=["user_id", "study_id"], set_=filled_in))


def _prolong(session: Session, *, study_id: UUID, by: Actor, hold: timedelta) -> None:
    """Who writes has not left the study: their hold lasts, though nothing else touches it."""
    moment = now()
    prolonged = session.scalar(
        update(Study)
        .where(
            Study.id == study_id,
            Study.state == State.CLAIMED.value,
            Study.claimed_by_name == by.name,
            Study.claim_expires_at > moment,
            Study.claim_expires_at <= moment + hold - min(_PROLONGED_EVERY, hold / 2),
        )
        .values(claim_expires_at=moment + hold)
        .returning(Study)
    )
    if prolonged is not None:
        announce(session, prolonged)


def discard(session: Session, *, study_id: UUID, by: Actor) -> None:
    """Nothing of what the reader had filled in of the study is kept; they have signed it, or want it gone."""
    if by.kind == "user":
        session.execute(delete(Draft).where(Draft.study_id == study_id, Draft.user_id == by.id))


def discard_all(session: Session, *, user_id: UUID) -> None:
    """Nothing that the person had filled in anywhere is kept: they will not come back for it."""
    session.execute(delete(Draft).where(Draft.user_id == user_id))


def _reader(session: Session, by: Actor) -> User:
    """Held, so that somebody who is disabled at this moment leaves no draft behind."""
    if by.kind != "user" or not by.may(Permission.REVIEW):
        raise Forbidden("Only a radiologist keeps a draft.")
    user = session.get_one(User, by.id, with_for_update={"read": True}, populate_existing=True)
    if user.disabled_at is not None:
        raise Forbidden("Only a radiologist keeps a draft.")
    return user
