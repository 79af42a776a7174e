"""The state of the whole service for Prometheus: asked anew each time, and the same of every process.

What waits comes from the database, what the workers have counted from the broker; a silent broker leaves its
part out. Labels are the program's own few words, whatever somebody wrote into the broker.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from app import counted, queue
from app.domain.counting import KINDS, MOST_FINDINGS, SCORE_BUCKETS, WAITED_BUCKETS
from app.domain.states import Outcome
from app.errors import Unavailable
from app.queries.backups import Backups
from app.queries.operations import Backlog
from app.settings import settings

_QUEUES = (queue.SCREENING_QUEUE, queue.DUTY_QUEUE, queue.TRAINING_QUEUE)
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_BUNDLE = re.compile(r"[0-9a-f]{12}")
_FINDING = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class ServiceGauges:
    """A registry that is asked once."""

    def __init__(
        self, backlog: Backlog, *, unsealed_seconds: float, unsent_seconds: float, backups: Backups
    ) -> None:
        self._backlog = backlog
        self._unsealed_seconds = unsealed_seconds
        self._unsent_seconds = unsent_seconds
        self._backups = backups

    def collect(self) -> Iterator[Metric]:
        """What waits, who works, what was counted, and how much room is left."""
        yield from self._waiting()
        yield from self._upkeep()
        yield from _disks()
        try:
            counts = counted.counts()
        except Unavailable:
            counts = None
        yield GaugeMetricFamily(
            "firstread_broker_up", "1 where the broker answers.", value=float(counts is not None)
        )
        if counts is not None:
            yield from _workers(counts)
            yield from _readings(counts)

    def _waiting(self) -> Iterator[Metric]:
        backlog = self._backlog
        yield _by("firstread_studies", "Studies by state.", "state", backlog.states)
        yield GaugeMetricFamily(
            "firstread_screening_due", "Studies that wait for the network.", value=backlog.screening_due
        )
        yield GaugeMetricFamily(
            "firstread_oldest_unscreened_seconds",
            "How long the study that waits longest has waited for the network.",
            value=backlog.oldest_unscreened_seconds or 0,
        )
        yield _by("firstread_deliveries", "Messages by state.", "state", backlog.deliveries)
        yield GaugeMetricFamily(
            "firstread_oldest_delivery_seconds",
            "How long the message that is due longest has been due.",
            value=backlog.oldest_delivery_seconds or 0,
        )
        yield _by("firstread_jobs", "Jobs of the training worker that are not done.", "state", backlog.jobs)

    def _upkeep(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "firstread_audit_unsealed_seconds",
            "How long ago the first event of the audit trail happened that is not sealed.",
            value=self._unsealed_seconds,
        )
        yield GaugeMetricFamily(
            "firstread_audit_unsent_seconds",
            "How long ago the oldest seal was made that the syslog server does not have; 0 without a server.",
            value=self._unsent_seconds,
        )
        if self._backups.whole_seconds is not None:
            yield GaugeMetricFamily(
                "firstread_backup_age_seconds",
                "How long ago the last whole backup was made.",
                value=self._backups.whole_seconds,
            )
            yield GaugeMetricFamily(
                "firstread_backup_lost_blobs",
                "Stored bytes that the site had lost when the last whole backup was made.",
                value=self._backups.lost,
            )


def _by(name: str, said: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _disks() -> Iterator[Metric]:
    places = {"home": settings().home, "blobs": settings().blob_folder}
    usage = {}
    for place, folder in places.items():
        with suppress(OSError):  # not there, or a mount that has gone stale: the other is told
            usage[place] = shutil.disk_usage(folder)
    free = {place: float(used.free) for place, used in usage.items()}
    yield _by("firstread_disk_free_bytes", "Bytes free on the disk of this folder.", "place", free)
    size = {place: float(used.total) for place, used in usage.items()}
    yield _by("firstread_disk_size_bytes", "Bytes of the disk of this folder.", "place", size)


def _workers(counts: counted.Counts) -> Iterator[Metric]:
    said = [facts.get("part") for facts in queue.workers().values()]
    alive = {part: float(said.count(part)) for part in _QUEUES}
    yield _by("firstread_workers", "Workers that reported within 15 seconds.", "part", alive)
    bells = {name: float(queue.waiting(name)) for name in _QUEUES}
    yield _by("firstread_bells", "Messages in the broker that nobody has heard.", "queue", bells)
    if counts.swept_seconds_ago is not None:
        yield GaugeMetricFamily(
            "firstread_sweep_age_seconds",
            "Seconds since the duty worker's last sweep.",
            value=counts.swept_seconds_ago,
        )


def _readings(counts: counted.Counts) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "firstread_readings",
        "Readings of studies; of those withheld or failed the kind of reason.",
        labels=["outcome", "kind"],
    )
    numbers = {(Outcome.SCREENED.value, ""): 0.0}
    for field, number in counts.readings.items():
        outcome, _, kind = field.partition("|")
        if outcome in _OUTCOMES:
            known = kind if kind in ("", *KINDS) else "other"
            numbers[outcome, known] = numbers.get((outcome, known), 0.0) + number
    for (outcome, kind), number in sorted(numbers.items()):
        family.add_metric([outcome, kind], number)
    yield family
    waited = HistogramMetricFamily(
        "firstread_time_to_reading_seconds",
        "Seconds from admission, or from when a study became due again, to its reading.",
        labels=["outcome"],
    )
    for outcome in _OUTCOMES:
        buckets, total = _histogram(counts.waited, outcome, WAITED_BUCKETS)
        waited.add_metric([outcome], buckets=buckets, sum_value=total)
    yield waited
    yield _scores(counts.scores)


def _scores(scores: Mapping[str, Mapping[str, float]]) -> Metric:
    family = HistogramMetricFamily(
        "firstread_score",
        "Probabilities the network gave to studies, by the first digits of its bundle's sha256.",
        labels=["bundle", "finding"],
    )
    for bundle, fields in scores.items():
        if _BUNDLE.fullmatch(bundle):
            for finding in _findings(fields):
                buckets, total = _histogram(fields, finding, SCORE_BUCKETS)
                family.add_metric([bundle, finding], buckets=buckets, sum_value=total)
    return family


def _findings(fields: Iterable[str]) -> list[str]:
    names = {field.rpartition("|")[0] for field in fields}
    return sorted(name for name in names if _FINDING.fullmatch(name))[:MOST_FINDINGS]


def _histogram(
    fields: Mapping[str, float], name: str, bounds: tuple[float, ...]
) -> tuple[list[tuple[str, float]], float]:
    buckets, so_far = [], 0.0
    for bound in (*map(str, bounds), "+Inf"):
        so_far += fields.get(f"{name}|{bound}", 0.0)
        buckets.append((bound, so_far))
    return buckets, fields.get(f"{name}|sum", 0.0)
