"""What is counted of requests: the golden signals, by route template, never by address.

Web processes that share a folder, PROMETHEUS_MULTIPROC_DIR when prometheus_client is imported, write their
counts there, and any of them tells the sums.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

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
live_pages = Counter("firstread_live_streams", "Live event streams opened.", registry=REGISTRY)


def observe(*, method: str, route: str, status: int, seconds: float) -> None:
    """One request was answered."""
    method = method if method in _METHODS else "other"
    requests.labels(method, route, str(status)).inc()
    seconds_of_requests.labels(method, route).observe(seconds)


def exposition() -> bytes:
    """The counts of all web processes that share a folder, those that ended included; or this one's."""
    together = CollectorRegistry()
    try:
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder
        together = REGISTRY
    return generate_latest(together)
