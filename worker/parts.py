"""What a worker process is made of: each part is built once, when a task first needs it, and only then is its
code loaded. A screening worker sends nothing and a duty worker reads nothing: either would carry tens of
megabytes for the other.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from app import queue
from app.blobs import Blobs
from app.settings import settings

if TYPE_CHECKING:
    from app.dicom.decoder_pool import DecoderPool
    from worker.deliver import Courier
    from worker.inside import Glass
    from worker.network import Network
    from worker.screener import Screener
    from worker.sweep import Sweeper

stop = threading.Event()
"""Set once the process was asked to end: whatever runs comes to its end or gives back what it holds."""

_SECONDS_TO_CLOSE = 2.0


@lru_cache(maxsize=1)
def blobs() -> Blobs:
    """The stored bytes."""
    return Blobs(settings().blob_folder)


@lru_cache(maxsize=1)
def _pool() -> DecoderPool:
    from app.dicom.decoder_pool import DecoderPool

    configuration = settings()
    return DecoderPool(
        processes=configuration.decoder_processes,
        seconds=configuration.decoder_timeout,
        memory_bytes=configuration.decoder_memory,
    )


@lru_cache(maxsize=1)
def network() -> Network:
    """The network that reads here."""
    from worker.network import Network

    return Network(blobs(), device=settings().device, configured=settings().bundle)


@lru_cache(maxsize=1)
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


@lru_cache(maxsize=1)
def courier() -> Courier:
    """The sender of deliveries."""
    from worker.deliver import Courier

    return Courier(settings())


@lru_cache(maxsize=1)
def sweeper() -> Sweeper:
    """The sweeper."""
    from worker.sweep import Sweeper

    return Sweeper(settings(), blobs=blobs())


@lru_cache(maxsize=1)
def glass() -> Glass:
    """Who shows administrators what the layers see."""
    from worker.inside import Glass

    return Glass(settings(), blobs=blobs())


def close() -> None:
    """The decoders end, or are left to end with this process where one does not answer in time."""
    if screener.cache_info().currsize:
        screener().close()
    if _pool.cache_info().currsize:
        closing = threading.Thread(target=_pool().close, daemon=True)
        closing.start()
        closing.join(_SECONDS_TO_CLOSE)
