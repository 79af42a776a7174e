"""What makes the broker's losses harmless: leases and claims end, and the bell rings for what is owed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from app import queue
from app.blobs import Blobs
from app.commands import cases, delivery, leases, review
from app.records.engine import transaction
from app.settings import Settings

_MOST_BELLS = 16
"""Bells one sweep rings at most for a kind of work: a worker that hears one goes on until nothing is due."""
_CASES_AT_ONCE = 20
_MOST_CASES = 200
"""Signed studies that one sweep takes into the index of similar cases at most."""
_BLOB_SWEEP_SECONDS = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep found."""

    leases_expired: int
    claims_expired: int
    studies_rung: int
    deliveries_rung: int
    cases_settled: int


class Sweeper:
    """Two at once are harmless: rows are locked or skipped, and a bell too many finds nothing due."""

    def __init__(self, configuration: Settings, *, blobs: Blobs) -> None:
        self._settings = configuration
        self._blobs = blobs
        self._blobs_swept = time.monotonic()

    def sweep(self) -> Swept:
        """Ends what expired, then rings once per batch of due studies and for due deliveries, and takes cases
        that have settled into their index.

        Bells that nobody has heard yet count, so that a service without workers does not fill the broker.
        Raises Unavailable without a database.
        """
        size = self._settings.batch_size
        with transaction() as session:
            expired = leases.expire_leases(session)
            claims = review.expire_claims(session)
        with transaction() as session:
            studies = leases.due(session, limit=_MOST_BELLS * size)
            letters = delivery.due(session, limit=_MOST_BELLS)
        swept = Swept(
            leases_expired=len(expired),
            claims_expired=claims,
            studies_rung=self._ring(
                queue.SCREEN, queue.SCREENING_QUEUE, [str(study) for study in studies[::size]]
            ),
            deliveries_rung=self._ring(queue.DELIVER, queue.DUTY_QUEUE, [str(letter) for letter in letters]),
            cases_settled=_settle_cases(),
        )
        if time.monotonic() - self._blobs_swept > _BLOB_SWEEP_SECONDS:
            self._blobs_swept = time.monotonic()
            _log.info("staged_files_swept", files=self._blobs.sweep())
        return swept

    def _ring(self, task: str, queue_name: str, ids: list[str]) -> int:
        if not ids:
            return 0
        unheard = queue.waiting(queue_name)
        wanted = ids[: max(0, len(ids) - unheard)]
        queue.ring(task, *wanted)
        return len(wanted)


def _settle_cases() -> int:
    """In small transactions: an entry of the index takes milliseconds, and amendments wait for its row."""
    settled = 0
    while settled < _MOST_CASES:
        with transaction() as session:
            found = cases.settle(session, limit=_CASES_AT_ONCE)
        settled += found
        if found < _CASES_AT_ONCE:
            break
    return settled
