"""The parts a web process is made of, built when it starts and closed when it ends."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from anyio import CapacityLimiter
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app import queue
from app.blobs import Blobs
from app.commands.audit import RefusalLog
from app.commands.blob_removal import images_among
from app.domain.sentence import sentence
from app.errors import Problem
from app.kept_pictures import KeptPictures
from app.oidc import Provider
from app.settings import settings
from app.web.pictures import Pictures
from app.web.readiness import ReadinessProbe
from app.web.throttle import SignInThrottle
from app.web.turns import Turns

if TYPE_CHECKING:
    from app.dicom.decoder_pool import DecoderPool

_DROPPED_EVERY = 300.0
"""Seconds between two looks for pictures of deleted images."""
_log = structlog.get_logger(__name__)


class Parts:
    """What routes share; reached by `parts_of(request)`."""

    def __init__(self) -> None:
        self.blobs = Blobs(settings().blob_folder)
        self.refusals = RefusalLog()
        self.throttle = SignInThrottle(queue.redis_url())
        self.provider = Provider(settings()) if settings().oidc_issuer else None
        self.at_provider = CapacityLimiter(4)
        """Threads that may wait for the provider; readers need the others."""
        self.at_passwords = CapacityLimiter(4)
        """Threads that may look at the password of somebody who signs in, with 64 MiB each."""
        self.readiness = ReadinessProbe(self.disk)
        self.turns = Turns(at_once=settings().uploads_at_once, most=settings().uploads_waiting)
        self._kept_pictures = KeptPictures(settings().home)
        self.pictures = Pictures(self._kept_pictures.folder)
        self._closing = threading.Event()
        self._dropping = threading.Thread(target=self._drop_pictures, name="drop-pictures", daemon=True)
        self._dropping.start()
        self.refusals.start()
        self._decoders: DecoderPool | None = None
        self._lock = threading.Lock()

    def decoders(self) -> DecoderPool:
        """The children that decode pixels for pages; started when the first picture is asked for."""
        with self._lock:
            if self._decoders is None:
                from app.dicom.decoder_pool import DecoderPool  # noqa: PLC0415  (a sender needs none)

                configuration = settings()
                self._decoders = DecoderPool(
                    processes=configuration.decoder_processes,
                    seconds=configuration.decoder_timeout,
                    memory_bytes=configuration.decoder_memory,
                )
            return self._decoders

    async def pixels(self, sha256: str, media_type: str) -> tuple[Path, Path]:
        """Files with a stored image's samples, gzipped, and with the JSON on how to show them."""
        path = await run_in_threadpool(self.blobs.path, sha256)
        return await self.pictures.pixels(sha256, lambda: self.decoders().values(path, media_type))

    def disk(self) -> str:
        """`ok`, or what keeps stored bytes from being safe."""
        try:
            with self.blobs.stage(max_bytes=1) as staged:
                staged.write(b"x")
                staged.sync()
        except (Problem, OSError):
            return sentence("the folder of the stored bytes cannot be written")
        return sentence("ok")

    def _drop_pictures(self) -> None:
        """Pictures of deleted images go, now and every few minutes, until the process ends."""
        while True:
            try:
                dropped = self._kept_pictures.keep_only(images_among)
                if dropped:
                    _log.info("pictures_dropped", files=dropped)
            except Exception as error:  # noqa: BLE001  (a silent database, a folder that is away: the next time)
                _log.warning("pictures_not_dropped", error=type(error).__name__)
            if self._closing.wait(_DROPPED_EVERY):
                return

    def close(self) -> None:
        """Ends the children and writes the refusals that were only counted."""
        self._closing.set()
        self._dropping.join(5.0)
        if self._decoders is not None:
            self._decoders.close()
        self.refusals.close()


def parts_of(request: Request) -> Parts:
    """The parts of the process that serves the request."""
    parts: Parts = request.app.state.parts
    return parts
