"""How the service does as a whole: what waits, for how long, and what was given up."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.states import State
from app.queries.worklist import DUE_SINCE
from app.records import Delivery, Study
from app.records.base import now


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Counts by state; `oldest_unscreened_seconds` is None where nothing waits for the network."""

    states: dict[str, int]
    screening_due: int
    oldest_unscreened_seconds: float | None
    deliveries: dict[str, int]


def backlog(session: Session) -> Backlog:
    """What there is now."""
    counted = dict(session.execute(select(Study.state, func.count()).group_by(Study.state)).all())
    due, oldest = session.execute(
        select(func.count(), func.min(DUE_SINCE)).where(Study.screening_due),
    ).one()
    messages = dict(session.execute(select(Delivery.state, func.count()).group_by(Delivery.state)).all())
    return Backlog(
        states={state.value: counted.get(state.value, 0) for state in State},
        screening_due=due,
        oldest_unscreened_seconds=(now() - oldest).total_seconds() if oldest else None,
        deliveries={state: messages.get(state, 0) for state in ("pending", "delivered", "dead")},
    )
