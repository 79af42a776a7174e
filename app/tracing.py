"""Traces of images for the site's OpenTelemetry collector; off, and none of its libraries loaded, where no
collector is set.

The trace of an image has the image's own id, and the id of its first span follows from that too. So the web
process that admits an image and the workers that read it tell of one trace without handing anything on: no
row, message or request carries it. Spans are told when they are over, with times that were noted; they hold
ids of ours, numbers and words of the program's, and never what a header says or a person wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from app.settings import Settings

if TYPE_CHECKING:
    from app.collector import Collector

Fact = str | int | float | bool
"""An id of ours, a number or a word of the program's."""
Step = tuple[int, int]
"""Begin and end, each as by `now`."""


class _Process:
    """Where this one tells its spans."""

    collector: Collector | None = None


def start(configured: Settings, *, part: str) -> None:
    """Where a collector is set, it is told from now on what `part` of the service does."""
    if configured.traces_endpoint is None or _Process.collector is not None:
        return
    from app.collector import Collector  # noqa: PLC0415, tens of megabytes that most sites never use

    _Process.collector = Collector(configured.traces_endpoint, part=part)


def stop() -> None:
    """Nothing is told any more; what waits is sent, as far as the collector takes it within two seconds."""
    collector, _Process.collector = _Process.collector, None
    if collector is not None:
        collector.close()


def is_on() -> bool:
    """True where a collector is told."""
    return _Process.collector is not None


def now() -> int:
    """Nanoseconds since 1970."""
    return time.time_ns()


def at(moment: datetime) -> int:
    """A moment as by `now`."""
    return int(moment.timestamp() * 1_000_000) * 1000


def found_by(*images: UUID) -> dict[str, str]:
    """For a line of log on these images: the ids of their traces, where any are told."""
    return {"trace_id": " ".join(image.hex for image in images)} if is_on() and images else {}


def at_door(*, began: int, received: int, read: int, committed: int, rung: int) -> dict[str, Step]:
    """What every way in does with an image, by turns; each moment as by `now`."""
    return {
        "receive": (began, received),
        "read header": (received, read),
        "admit": (read, committed),
        "ring": (committed, rung),
    }


def tell_arrival(
    image: UUID, *, door: str, step: Step, parts: Mapping[str, Step], facts: Mapping[str, Fact]
) -> None:
    """The image was admitted, which begins its trace: by which `door`, and what was done there by turns."""
    collector = _Process.collector
    if collector is not None:
        collector.tell(image, door, step=step, facts=facts, is_first=True)
        for name, part in parts.items():
            collector.tell(image, name, step=part, facts={})


def tell(name: str, images: Iterable[UUID], *, step: Step, facts: Mapping[str, Fact]) -> None:
    """This was done with each of the images, or with all at once."""
    collector = _Process.collector
    if collector is not None:
        for image in images:
            collector.tell(image, name, step=step, facts=facts)
