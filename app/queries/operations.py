"""How the service does as a whole: what waits, for how long, and what was given up."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from app.domain.states import State
from app.queries.worklist import DUE_SINCE
from app.records import Delivery, Job, Study
from app.records.base import now
from app.records.job import AT_WORK

_MANY = 50_000
"""From so many on a count takes long enough to be remembered."""
_REMEMBERED_SECONDS = 60.0
_SIGNED = (State.SIGNED.value, State.AMENDED.value)


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Counts by state; `oldest_unscreened_seconds` is None where nothing waits for the network, and
    `oldest_delivery_seconds` where no message is due.

    What waits is counted now. What is done (signed studies, priors, messages that arrived) is, where there is
    much of it, as it was within the last minute.
    """

    states: dict[str, int]
    screening_due: int
    oldest_unscreened_seconds: float | None
    deliveries: dict[str, int]
    oldest_delivery_seconds: float | None
    jobs: dict[str, int]


def backlog(session: Session) -> Backlog:
    """What there is now."""
    waiting = select(Study.state, func.count()).where(Study.state.not_in(_SIGNED), Study.purpose == "current")
    done = select(Study.state, func.count()).where(or_(Study.state.in_(_SIGNED), Study.purpose != "current"))
    states = _counted(session, waiting.group_by(Study.state))
    states += _remembered(session, "studies", done.group_by(Study.state))
    messages = select(Delivery.state, func.count()).group_by(Delivery.state)
    deliveries = _counted(session, messages.where(Delivery.state.in_(("pending", "dead"))))
    deliveries += _remembered(session, "deliveries", messages.where(Delivery.state == "delivered"))
    due, oldest = session.execute(
        select(func.count(), func.min(DUE_SINCE)).where(Study.screening_due),
    ).one()
    moment = now()
    owed = session.scalar(
        select(func.min(Delivery.not_before)).where(
            Delivery.state == "pending", Delivery.not_before <= moment
        )
    )
    begun = select(Job.state, func.count()).where(Job.state.in_(AT_WORK))
    jobs = _counted(session, begun.group_by(Job.state))
    return Backlog(
        states={state.value: states[state.value] for state in State},
        screening_due=due,
        oldest_unscreened_seconds=(moment - oldest).total_seconds() if oldest else None,
        deliveries={state: deliveries[state] for state in ("pending", "delivered", "dead")},
        oldest_delivery_seconds=(moment - owed).total_seconds() if owed else None,
        jobs={state: jobs[state] for state in AT_WORK},
    )


def _counted(session: Session, by_state: Select[str, int]) -> Counter[str]:
    return Counter(dict(session.execute(by_state).all()))


_memory: dict[tuple[str, str], tuple[float, Counter[str]]] = {}
_one_counts = threading.Lock()


def _remembered(session: Session, name: str, by_state: Select[str, int]) -> Counter[str]:
    """The counts, or those of up to a minute ago where they are large; one thread counts for all."""
    key = (str(session.get_bind().engine.url), name)
    with _one_counts:
        counted_at, counts = _memory.get(key, (float("-inf"), Counter()))
        if time.monotonic() - counted_at > _REMEMBERED_SECONDS:
            counts = _counted(session, by_state)
            _memory.pop(key, None)
            if counts.total() >= _MANY:
                _memory[key] = (time.monotonic(), counts)
        return counts
