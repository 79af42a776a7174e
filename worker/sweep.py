"""What makes the broker's losses harmless: leases and claims end, and the bell rings for what is owed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from app import counted, looks, queue
from app.blobs import Blobs
from app.commands import blob_removal, cases, delivery, jobs, leases, retention, retraining, review, shadow
from app.domain.roles import SYSTEM
from app.errors import Conflict, Problem, Unavailable
from app.records.engine import transaction
from app.settings import Settings
from worker.learning.kinds import beside

_MOST_BELLS = 16
"""Bells one sweep rings at most for a kind of work: a worker that hears one goes on until nothing is due."""
_CASES_AT_ONCE = 20
_MOST_CASES = 200
"""Signed studies that one sweep takes into the index of similar cases at most."""
_BLOB_SWEEP_SECONDS = 3600.0
_ORPHANS_SECONDS = 24 * 3600.0
_DELETION_SECONDS = 60.0
_MOST_BATCHES = 4
"""Of studies whose time is over, that one round deletes at most."""
_RETRAINING_SECONDS = 60.0
"""Between two looks at whether a training is to begin by itself."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep found."""

    leases_expired: int
    claims_expired: int
    studies_rung: int
    deliveries_rung: int
    jobs_rung: int
    cases_settled: int


class Sweeper:
    """Two at once are harmless: rows are locked or skipped, and a bell too many finds nothing due."""

    def __init__(self, configuration: Settings, *, blobs: Blobs) -> None:
        self._settings = configuration
        self._blobs = blobs
        self._blobs_swept = self._deleted = time.monotonic()
        self._orphans_listed = time.monotonic() - _ORPHANS_SECONDS + _BLOB_SWEEP_SECONDS
        self._retraining_looked: float | None = None

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
            for kind, subject_id, state, said in jobs.expire(session):
                beside(kind).give_up(session, subject_id=subject_id, state=state, said=said)
        with transaction() as session:
            studies = leases.due(session, limit=_MOST_BELLS * size)
            letters = delivery.due(session, limit=_MOST_BELLS)
            shadow.ask_due(session)
            waiting = jobs.due(session, limit=1)
        swept = Swept(
            leases_expired=len(expired),
            claims_expired=claims,
            studies_rung=self._ring(
                queue.SCREEN, queue.SCREENING_QUEUE, [str(study) for study in studies[::size]]
            ),
            deliveries_rung=self._ring(queue.DELIVER, queue.DUTY_QUEUE, [str(letter) for letter in letters]),
            jobs_rung=self._ring(queue.LEARN, queue.TRAINING_QUEUE, [str(job) for job in waiting]),
            cases_settled=_settle_cases(),
        )
        if (
            self._retraining_looked is None
            or time.monotonic() - self._retraining_looked > _RETRAINING_SECONDS
        ):
            self._retraining_looked = time.monotonic()
            _retrain(self._blobs)
        if time.monotonic() - self._blobs_swept > _BLOB_SWEEP_SECONDS:
            self._blobs_swept = time.monotonic()
            self._apart("staged files", self._sweep_staged)
        if time.monotonic() - self._orphans_listed > _ORPHANS_SECONDS:
            self._orphans_listed = time.monotonic()
            self._apart("orphans", self._list_orphans)
        if time.monotonic() - self._deleted > _DELETION_SECONDS:
            self._deleted = time.monotonic()
            self._apart("retention", self.delete)
            self._apart("removal of stored bytes", self._remove_bytes)
        _ring_for_questions()
        counted.note_sweep()
        return swept

    @staticmethod
    def _apart(part: str, sweep: Callable[[], object]) -> None:
        """What fails here, fails alone: the leases and bells of the others do not wait for it."""
        try:
            sweep()
        except Exception as error:  # noqa: BLE001  (a folder or a table may refuse anything)
            _log.error("sweep_failed_in_part", part=part, error=type(error).__name__)

    def _sweep_staged(self) -> None:
        _log.info("staged_files_swept", files=self._blobs.sweep())

    def _list_orphans(self) -> None:
        _log.info("orphans_listed", files=blob_removal.list_orphans(self._blobs))

    def _remove_bytes(self) -> None:
        removed = blob_removal.remove_due(self._blobs)
        if removed.removed:
            _log.info("blobs_removed", files=removed.removed, waiting=removed.waiting)

    def delete(self) -> int:
        """Studies whose time is over are gone; returns how many."""
        studies = 0
        days = self._settings.retention_days
        for _ in range(_MOST_BATCHES):
            if days is None:
                break
            try:
                with transaction() as session:
                    deleted = retention.apply(session, self._blobs, days=days)
            except Conflict:
                break  # somebody is at one of them; the next round tries again
            if deleted is None:
                break
            studies += deleted.studies
        if studies:
            _log.info("retention_applied", studies=studies)
        return studies

    def _ring(self, task: str, queue_name: str, ids: list[str]) -> int:
        if not ids:
            return 0
        unheard = queue.waiting(queue_name)
        wanted = ids[: max(0, len(ids) - unheard)]
        queue.ring(task, *wanted)
        return len(wanted)


def _ring_for_questions() -> None:
    """Those whose bell was heard by a worker that ended, or while another question was being answered."""
    with suppress(Unavailable):  # without a broker there are none
        for task in (queue.LOOK_INSIDE, queue.COUNT_SNAPSHOT):
            if looks.waiting(task):
                queue.ring(task, "waiting")


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


def _retrain(blobs: Blobs) -> None:
    """Begins a training that is due by itself; where it cannot be, the page says why."""
    with transaction() as session:
        occasion = retraining.occasion(session)
    if occasion is None:
        return
    try:
        with transaction() as session:
            _, job_id = retraining.retrain(session, blobs=blobs, occasion=occasion, by=SYSTEM)
    except (Unavailable, Conflict):
        return  # another sweep is at it, or the database is away: the occasion is still there
    except Problem as problem:
        with transaction() as session:
            retraining.came_to_nothing(session, problem=problem, by=SYSTEM)
        _log.warning("retraining_came_to_nothing", reason=problem.detail)
        return
    queue.ring(queue.LEARN, str(job_id))
    _log.info("retraining", occasion=occasion)
