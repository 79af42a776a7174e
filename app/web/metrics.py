"""What is counted of requests: the golden signals, by route template, never by address.

Web processes that share a folder, PROMETHEUS_MULTIPROC_DIR when prometheus_client is imported, write their
counts there, and any of them tells the sums: the counts of all that ever ran, the gauges of those that live.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.records.engine import connections_in_use

REGISTRY = CollectorRegistry()
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter(
    "firstread_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY
)
seconds_of_requests = Histogram(
    "firstread_http_request_seconds",
    "Seconds from the first byte of a request to the last of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
images_received = Counter(
    "firstread_images_received",
    "Files received, by way in and outcome.",
    ["via", "outcome"],
    registry=REGISTRY,
)
requests_in_flight = Gauge(
    "firstread_http_requests_in_flight",
    "Requests that are being answered, open event streams among them.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
connections = Gauge(
    "firstread_database_connections_in_use",
    "Connections to the database that a web process held when it last had answered; 30 a process at most.",
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
live_pages = Counter("firstread_live_streams", "Live event streams opened.", registry=REGISTRY)


def observe(*, method: str, route: str, status: int, seconds: float) -> None:
    """One request was answered."""
    method = method if method in _METHODS else "other"
    requests.labels(method, route, str(status)).inc()
    seconds_of_requests.labels(method, route).observe(seconds)
    connections.set(connections_in_use())


@contextmanager
def in_flight() -> Iterator[None]:
    """One request is being answered."""
    requests_in_flight.inc()
    try:
        yield
    finally:
        requests_in_flight.dec()


def exposition() -> bytes:
    """The counts of all web processes that share a folder, those that ended included; or this one's."""
    together = CollectorRegistry()
    try:
        collector = MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        _forget_the_dead(Path(collector._path))
    except ValueError:  # there is no folder
        together = REGISTRY
    return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """What a killed process was answering when it ended, nobody answers any more."""
    for file in folder.glob("gauge_live*_*.db"):
        number = re.fullmatch(r"\d+", file.stem.rpartition("_")[2])
        if number is None:
            continue
        try:
            os.kill(int(number[0]), 0)
        except ProcessLookupError:
            mark_process_dead(int(number[0]))  # type: ignore[no-untyped-call]
        except PermissionError:  # it lives, and is another user's
            pass
