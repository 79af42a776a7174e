"""Blind reads: who may see the network's opinion of which study. Whatever shows the opinion asks here.

The opinion is lane, probabilities, urgency, the credit they gave, maps, and what compares a reader's verdict
with them. It is hidden from a person, until a verdict of their own stands, for studies that were drawn at
admission and, where the person has asked for it, for all. Machines are shown everything.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, func, select
from sqlalchemy.orm import Session

from app.commands import audit, site_choices
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.domain.states import Outcome
from app.errors import Conflict, Unprocessable
from app.records import Reading, Review, Study, User
from app.records.review import stands

BLIND_SHARE = "blind_share"
"""The choice's name; its value is per cent."""
USUAL_SHARE = 5.0
HIDDEN = sentence(
    "What the network says of this study is hidden from you until you have signed a verdict of your own."
)
_lots = random.SystemRandom()


def hidden_from(session: Session, who: Actor) -> ColumnElement[bool]:
    """As SQL over studies: the network's opinion of the study is hidden from this person."""
    if who.kind != "user":
        return false()
    # No EXISTS: PostgreSQL may answer that by reading all reviews the person ever signed.
    own = (
        select(Review.id)
        .where(
            Review.study_id == Study.id,
            Review.reviewer_kind == "user",
            Review.reviewer_id == who.id,
            stands(),
        )
        .limit(1)
        .correlate(Study)
        .scalar_subquery()
    )
    verdict_lacks = own.is_(None)
    if hidden_since(session, who) is not None:
        return verdict_lacks
    return and_(Study.blind, verdict_lacks)


def is_hidden(session: Session, *, study_id: UUID, who: Actor) -> bool:
    """True where the opinion of this study is hidden from them; False where there is no such study."""
    return bool(session.scalar(select(hidden_from(session, who)).where(Study.id == study_id)))


def check_may_see(session: Session, *, study_id: UUID, who: Actor) -> None:
    """Raises Conflict where the opinion of this study is hidden from them."""
    if is_hidden(session, study_id=study_id, who=who):
        raise Conflict(HIDDEN)


def hidden_since(session: Session, who: Actor) -> int | None:
    """Readings up to this sequence may have been seen by the person before they asked to read blind; None
    where they have not asked.
    """
    chosen = session.scalar(select(User.preferences).where(User.id == who.id))
    after = (chosen or {}).get("opinion_after")
    return None if after is None else int(after)


def reads_blind(session: Session, *, study: Study, by: Actor) -> bool:
    """True where the person who is about to sign has never been shown what the network said of the study.

    False of machines, of whoever has signed it before (withdrawn or not: the opinion was shown then), and
    where a reading is older than their choice to read blind and the study was not drawn.
    """
    if by.kind != "user":
        return False
    earlier = exists().where(Review.study_id == study.id, Review.reviewer_id == by.id)
    if session.scalar(select(earlier)):
        return False
    first = session.scalar(
        select(func.min(Reading.sequence)).where(
            Reading.study_id == study.id, Reading.outcome == Outcome.SCREENED.value
        )
    )
    if first is None or study.blind:
        return True
    since = hidden_since(session, by)
    return since is not None and first > since


def is_drawn(share: float) -> bool:
    """True for so many in a hundred."""
    return _lots.random() * 100 < share


def set_share(session: Session, *, share: float, by: Actor) -> None:
    """Of the studies that are admitted from now on so many per cent are read blind by everybody.

    Raises Unprocessable for what is no percentage.
    """
    if not math.isfinite(share) or not 0 <= share <= 100:
        raise Unprocessable("The share is a number from 0 to 100, in per cent.")
    changed, value = site_choices.choose(session, name=BLIND_SHARE, value=share, by=by)
    if changed:
        before = USUAL_SHARE if value is None else float(value)
        audit.record(session, action="site.blind-share-set", by=by, share=share, before=before)


def harmless(notices: Sequence[str], findings: Mapping[str, object]) -> list[str]:
    """Of the notices those that may be shown where the opinion may not: they name no finding and no lane."""
    telling = [name.lower() for name in findings] + ["rule-in", "rule-out", "abstain", "probability"]
    return [notice for notice in notices if not any(word in notice.lower() for word in telling)]
