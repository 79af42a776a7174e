"""The tasks: thin, and each may run twice. The ids they carry only ring; what is due says the database."""

from __future__ import annotations

import structlog

from app.errors import Unavailable
from app.queue import COUNT_SNAPSHOT, DELIVER, LEARN, LOOK_INSIDE, SCREEN, SEAL, SWEEP, queue
from worker import parts

_log = structlog.get_logger(__name__)


def screen(study_id: str) -> None:  # noqa: ARG001
    """Whatever is due for screening has been tried."""
    parts.screener().drain()


def deliver(delivery_id: str) -> None:  # noqa: ARG001
    """Whatever is due for delivery has been tried, as far as its destinations take it."""
    parts.courier().drain(stop=parts.stop)


def sweep() -> None:
    """What expired is over, and the bell has rung for what is owed."""
    try:
        swept = parts.sweeper().sweep()
    except Unavailable:
        _log.warning("database_silent")
        return
    if swept.leases_expired or swept.claims_expired or swept.studies_rung or swept.deliveries_rung:
        _log.info(
            "swept",
            leases_expired=swept.leases_expired,
            claims_expired=swept.claims_expired,
            studies_rung=swept.studies_rung,
            deliveries_rung=swept.deliveries_rung,
        )


def look_inside(look_id: str) -> None:  # noqa: ARG001
    """Whatever waits to be shown to an administrator has been answered."""
    parts.glass().drain(stop=parts.stop)


def count_snapshot(look_id: str) -> None:  # noqa: ARG001
    """Whatever snapshot is thought of has been counted."""
    parts.snapshot_counter().drain(stop=parts.stop)


def seal() -> None:
    """What has settled of the audit trail is sealed, and what is sealed has gone where the site wants it."""
    try:
        parts.sealer().round(stop=parts.stop)
    except Unavailable:
        _log.warning("database_silent")


def learn(job_id: str) -> None:  # noqa: ARG001
    """Whatever waits for the training worker has been tried."""
    try:
        parts.learner().drain(stop=parts.stop)
    except Unavailable:
        _log.warning("database_silent")


# A bell is spent when it is heard: the row, not the message, is what is owed. Acknowledged late, a long round
# of screening would be rung again by the broker every few minutes.
_TASKS = (
    (SCREEN, screen),
    (DELIVER, deliver),
    (SWEEP, sweep),
    (LOOK_INSIDE, look_inside),
    (COUNT_SNAPSHOT, count_snapshot),
    (LEARN, learn),
    (SEAL, seal),
)
for _name, _task in _TASKS:
    queue.task(name=_name, acks_late=False)(_task)
