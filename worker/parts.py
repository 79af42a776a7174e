"""What a worker process is made of: each part is built once, when a task first needs it, and only then is its
code loaded. A screening worker sends nothing and a duty worker reads nothing: either would carry tens of
megabytes for the other.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from app import queue
from app.blobs import Blobs
from app.settings import settings

if TYPE_CHECKING:
    from app.dicom.decoder_pool import DecoderPool
    from worker.count_snapshot import SnapshotCounter
    from worker.deliver import Courier
    from worker.inside import Glass
    from worker.learning.learner import Learner
    from worker.network import Network
    from worker.screener import Screener
    from worker.seal import Sealer
    from worker.sweep import Sweeper

stop = threading.Event()
"""Set once the process was asked to end: whatever runs comes to its end or gives back what it holds."""

_SECONDS_TO_CLOSE = 2.0
_T = TypeVar("_T")
_building = threading.RLock()
"""One thread builds at a time, and what its part is made of with it."""


class _Part(Generic[_T]):
    """A part of this process: built by the first thread that calls it, the same for every other."""

    def __init__(self, build: Callable[[], _T]) -> None:
        self._build = build
        self._built: tuple[_T] | None = None
        self.__doc__ = build.__doc__

    @property
    def is_built(self) -> bool:
        """True once it was needed."""
        return self._built is not None

    def __call__(self) -> _T:
        """The part; whatever its builder raises, and then the next call builds it."""
        if self._built is None:
            with _building:
                if self._built is None:
                    self._built = (self._build(),)
        return self._built[0]


@_Part
def blobs() -> Blobs:
    """The stored bytes."""
    return Blobs(settings().blob_folder)


@_Part
def _pool() -> DecoderPool:
    from app.dicom.decoder_pool import DecoderPool

    configuration = settings()
    return DecoderPool(
        processes=configuration.decoder_processes,
        seconds=configuration.decoder_timeout,
        memory_bytes=configuration.decoder_memory,
    )


@_Part
def network() -> Network:
    """The network that reads here."""
    from worker.network import Network

    return Network(blobs(), device=settings().device, configured=settings().bundle)


@_Part
def screener() -> Screener:
    """The screening of this process; its decoders run from now on."""
    from worker.deference import Deference
    from worker.recorder import Recorder
    from worker.screener import Screener

    configuration = settings()
    return Screener(
        blobs=blobs(),
        pool=_pool(),
        network=network(),
        recorder=Recorder(
            configuration, ring=lambda ids: queue.ring(queue.DELIVER, *(str(id_) for id_ in ids))
        ),
        configuration=configuration,
        stop=stop,
        deference=Deference(
            network(), others_read=queue.somebody_reads, pass_on=lambda: queue.ring(queue.SCREEN, "passed on")
        ),
    )


@_Part
def courier() -> Courier:
    """The sender of deliveries."""
    from worker.deliver import Courier

    return Courier(settings())


@_Part
def sweeper() -> Sweeper:
    """The sweeper."""
    from worker.sweep import Sweeper

    return Sweeper(settings(), blobs=blobs())


@_Part
def sealer() -> Sealer:
    """Who seals the audit trail."""
    from worker.seal import Sealer

    return Sealer(settings())


@_Part
def glass() -> Glass:
    """Who shows administrators what the layers see."""
    from worker.inside import Glass

    return Glass(settings(), blobs=blobs())


@_Part
def snapshot_counter() -> SnapshotCounter:
    """Who counts what a snapshot would hold."""
    from worker.count_snapshot import SnapshotCounter

    return SnapshotCounter(blobs=blobs())


@_Part
def learner() -> Learner:
    """Who does the jobs of training."""
    from worker.learning.learner import Learner

    return Learner(
        blobs=blobs(), folder=settings().home / "jobs", name=f"{socket.gethostname()}-{os.getpid()}"
    )


def close() -> None:
    """The decoders end, or are left to end with this process where one does not answer in time."""
    if screener.is_built:
        screener().close()
    if _pool.is_built:
        closing = threading.Thread(target=_pool().close, daemon=True)
        closing.start()
        closing.join(_SECONDS_TO_CLOSE)
