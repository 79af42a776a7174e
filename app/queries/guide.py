"""To whom the walk through a first case is offered."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.roles import Actor, Permission
from app.domain.states import DONE
from app.queries import preferences
from app.queries.studies import StudyShown
from app.records import Study

_LOOKED_THROUGH = 200
"""Of the worklist, from its top: whoever waits for a page does not wait for the whole list."""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """It is offered; `sample` is an unsigned study that FirstRead drew, nobody's radiograph, where one is."""

    sample: UUID | None


def guide_for(session: Session, shown: StudyShown, *, who: Actor) -> Guide | None:
    """To a radiologist who has not seen it yet, on a study that can wait: no STAT order, no prior."""
    if not who.may(Permission.REVIEW) or who.kind != "user":
        return None
    if shown.entry.priority == "stat" or shown.purpose == "prior":
        return None
    if preferences.of_user(session, user_id=who.id).guide_seen:
        return None
    return Guide(sample=_sample(session))


def _sample(session: Session) -> UUID | None:
    top = (
        select(Study.id, Study.is_sample, Study.rank_at)
        .where(Study.state.not_in([state.value for state in DONE]), Study.purpose == "current")
        .order_by(Study.rank_at, Study.id)
        .limit(_LOOKED_THROUGH)
        .subquery()
    )
    drawn = select(top.c.id).where(top.c.is_sample).order_by(top.c.rank_at, top.c.id).limit(1)
    return session.scalar(drawn)
