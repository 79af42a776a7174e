"""Counts of the workers' readings, kept in the broker: workers add to them, every web process tells them.

The readings themselves are rows. To count a million of them at each look would take seconds, and a worker has
no door of its own to ask at. A broker that was emptied begins at nought, as a counter may; what is counted
while it is silent is left out, and no reading waits for it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from app import queue
from app.domain.counting import SCORE_BUCKETS, WAITED_BUCKETS, Counted, bucket_of
from app.errors import Unavailable

MOST_BUNDLES = 8
"""Of so many bundles that read last the scores are told."""

_READINGS = "firstread:counted:readings"
_WAITED = "firstread:counted:waited"
_BUNDLES = "firstread:counted:bundles"
_SCORES = "firstread:counted:scores:"
_FORGOTTEN_AFTER = 90 * 86400
_SWEPT = "firstread:swept"

_SILENT_SECONDS = 30.0
"""So long a broker that did not answer is not asked again: to find it silent takes seconds."""

_log = structlog.get_logger(__name__)


class _Silence:
    broker: str | None = ""
    until = 0.0

    def lasts(self) -> bool:
        return self.broker == queue.queue.conf.broker_url and time.monotonic() < self.until


_silence = _Silence()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What has been counted since the broker was empty; keys are parts joined by `|`, as `withheld|age`."""

    readings: dict[str, float]
    waited: dict[str, float]
    scores: dict[str, dict[str, float]]
    """By the first twelve digits of a bundle's sha256."""
    swept_seconds_ago: float | None
    """None where no sweep is known of."""


def add(readings: Iterable[Counted]) -> None:
    """The readings count. A silent broker is no error."""
    outcomes, waited = Counter[str](), dict[str, float]()
    scores: dict[str, dict[str, float]] = {}
    for reading in readings:
        outcomes[f"{reading.outcome}|{reading.kind}"] += 1
        _observe(waited, reading.outcome, reading.waited_seconds, WAITED_BUCKETS)
        for finding, score in reading.scores.items():
            if reading.bundle is not None:
                _observe(scores.setdefault(reading.bundle, {}), finding, score, SCORE_BUCKETS)
    if not outcomes or queue.is_silent() or _silence.lasts():
        return
    try:
        with queue.minutes() as client:
            seconds = client.time()[0]
            pipe = client.pipeline(transaction=True)
            for field, number in outcomes.items():
                pipe.hincrby(_READINGS, field, number)
            for field, amount in waited.items():
                pipe.hincrbyfloat(_WAITED, field, amount)
            for bundle, fields in scores.items():
                pipe.zadd(_BUNDLES, {bundle: seconds})
                for field, amount in fields.items():
                    pipe.hincrbyfloat(_SCORES + bundle, field, amount)
                pipe.expire(_SCORES + bundle, _FORGOTTEN_AFTER)
            pipe.zremrangebyrank(_BUNDLES, 0, -MOST_BUNDLES - 1)
            pipe.execute()
    except Unavailable:
        _silence.broker, _silence.until = queue.queue.conf.broker_url, time.monotonic() + _SILENT_SECONDS
        _log.warning("broker_silent", uncounted=sum(outcomes.values()))


def note_sweep() -> None:
    """The duty worker has swept just now, by the broker's clock. A silent broker is no error."""
    try:
        with queue.minutes() as client:
            client.set(_SWEPT, client.time()[0])
    except Unavailable:
        pass  # the sweep itself has said so


def counts() -> Counts:
    """Everything that was counted. Raises Unavailable where the broker is silent."""
    with queue.minutes() as client:
        bundles = [bytes(bundle).decode() for bundle in client.zrevrange(_BUNDLES, 0, MOST_BUNDLES - 1)]
        swept = client.get(_SWEPT)
        seconds, micros = client.time()
        return Counts(
            readings=_numbers(client.hgetall(_READINGS)),
            waited=_numbers(client.hgetall(_WAITED)),
            scores={bundle: _numbers(client.hgetall(_SCORES + bundle)) for bundle in bundles},
            swept_seconds_ago=None if swept is None else max(seconds + micros / 1e6 - float(swept), 0.0),
        )


def _observe(into: dict[str, float], name: str, value: float, bounds: tuple[float, ...]) -> None:
    for field, amount in ((bucket_of(value, bounds), 1.0), ("sum", value)):
        into[f"{name}|{field}"] = into.get(f"{name}|{field}", 0.0) + amount


def _numbers(fields: dict[Any, Any]) -> dict[str, float]:
    return {bytes(name).decode(): float(number) for name, number in fields.items()}
