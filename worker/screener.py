"""Claim, screen, record, until nothing is due: while the network reads one batch, the next one is decoded and
the one before is recorded.

Nothing here is kept but leases. A worker that dies at any line leaves studies whose leases expire, and a
study changes only by `app.commands.screening`, in one transaction, while the lease is still its own.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from uuid import UUID

import structlog

from app.blobs import Blobs
from app.commands.registry import Lacking
from app.commands.screening import ImageToScreen, StudyToScreen
from app.dicom.decoded import Presentation
from app.dicom.decoder_pool import DecoderPool
from app.dicom.image_header import DICOM
from app.domain.reading import ImageRead
from app.domain.sentence import sentence
from app.errors import NotFound, Unavailable, frames_of
from app.settings import Settings
from worker import traced
from worker.deference import Deference
from worker.memory import give_back_freed
from worker.network import Loaded, Network, NetworkUnavailable
from worker.recorder import Recorder, image_read, named
from worker.screen import Batch, ImageFile, ImageScreened, NetworkBroke, batches

PREVIEW_SIDE = 1024
"""Longest side of the previews, pixels."""
GRACE_SECONDS = 3.0
"""How long a batch may still decode once the worker was asked to end; then it is given back."""

_log = structlog.get_logger(__name__)


_Screened = list[tuple[ImageScreened, str | None]]
"""Each image's result and the sha256 of its preview, where it has one."""


class _Stopping(Exception):
    """The worker was asked to end and the batch would take too long."""


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A claimed batch: its studies, and their images in parts, of which the first is being decoded."""

    studies: list[StudyToScreen]
    images: list[tuple[StudyToScreen, ImageToScreen]]
    parts: list[list[ImageFile]]
    first: Batch | None
    loaded: Loaded
    began: float

    @property
    def alone(self) -> bool:
        """True where an earlier attempt did not end well: nothing else is at risk beside it."""
        return any(study.attempt > 1 for study in self.studies)


class Screener:
    """What a screening worker does when it hears the bell."""

    def __init__(
        self,
        *,
        blobs: Blobs,
        pool: DecoderPool,
        network: Network,
        recorder: Recorder,
        configuration: Settings,
        stop: threading.Event,
        deference: Deference | None = None,
    ) -> None:
        """`stop` is set when the worker must end."""
        self._deference = deference or Deference(network)
        self._blobs = blobs
        self._pool = pool
        self._network = network
        self._recorder = recorder
        self._attempts = configuration.screening_attempts
        self._paediatric = set(configuration.paediatric_sources)
        self._stop = stop
        self._stop_by: float | None = None
        self._warm = False
        self._keeper = ThreadPoolExecutor(2, thread_name_prefix="previews")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")

    def drain(self) -> int:
        """Screens whatever is due, in the order of the worklist; returns how many studies got a reading.

        A database that does not answer ends it: the sweeper rings again. What is not done is given back.
        """
        done = 0
        writing: Future[int] | None = None

        def written() -> int:
            nonlocal writing
            last, writing = writing, None
            return last.result() if last is not None else 0

        try:
            self._warm_up()
            ahead = self._begin()
            while ahead is not None:
                now, ahead = ahead, None
                if now.alone:
                    done += written()
                else:
                    ahead = self._begin()
                screened = self._read(now)
                done += written()
                writing = self._writer.submit(self._settle, now, screened)
                if ahead is None:
                    done += written()
                    ahead = self._begin()
        except _Stopping:
            _log.info("batch_given_back", studies=len(self._recorder.held))
        except Unavailable:
            _log.warning("database_silent", studies=len(self._recorder.held))
        except Exception as error:  # noqa: BLE001, ours to mend, and no study must wait for it
            _log.error("screening_broke", error=type(error).__name__, at=frames_of(error))
            self._postpone_all(self._recorder.held, sentence(f"Screening broke ({type(error).__name__})."))
        finally:
            if writing is not None:
                done += self._outcome_of(writing)
            self._recorder.give_back()
            give_back_freed()
        return done

    def close(self) -> None:
        """Ends the threads that store previews and readings."""
        self._keeper.shutdown(wait=True)
        self._writer.shutdown(wait=True)

    def _warm_up(self) -> None:
        """The network is loaded before anybody waits for it; where it is refused, studies will say why."""
        if not self._warm:
            try:
                self._network.current()
            except NetworkUnavailable as error:
                _log.warning("no_network", reason=str(error))
            self._warm = True

    def _begin(self) -> _Begun | None:
        """Claims the next batch that can be read, and has its decoding started; None when nothing is due."""
        while not self._stop.is_set():
            began = time.monotonic()
            if self._deference.is_due(self._recorder, self._stop):
                return None
            claimed = self._recorder.claim()
            if not claimed:
                return None
            studies = [study for study in claimed if study.attempt <= self._attempts]
            self._postpone_all(
                [study for study in claimed if study.attempt > self._attempts],
                sentence(f"The worker that screened this study ended unexpectedly {self._attempts} times."),
            )
            try:
                loaded = self._network.current()
            except NetworkUnavailable as error:
                self._postpone_all(studies, str(error), lacking=error.lacking)
                continue
            begun = self._decode(studies, loaded=loaded, began=began)
            if begun.studies:
                return begun
        return None

    def _decode(self, studies: list[StudyToScreen], *, loaded: Loaded, began: float) -> _Begun:
        images: list[tuple[StudyToScreen, ImageToScreen]] = []
        files: list[ImageFile] = []
        there: list[StudyToScreen] = []
        for study in studies:
            try:
                files += [self._file(image) for image in study.images]
            except (NotFound, OSError) as error:
                why = sentence("The stored bytes cannot be read.")
                self._recorder.postpone(study, error.detail if isinstance(error, NotFound) else why)
                continue
            there.append(study)
            images += [(study, image) for image in study.images]
        parts = list(batches(files, pixels=lambda file: file.pixels))
        first = self._batch(parts[0], loaded) if parts else None
        return _Begun(studies=there, images=images, parts=parts, first=first, loaded=loaded, began=began)

    def _file(self, image: ImageToScreen) -> ImageFile:
        header = image.header
        return ImageFile(
            path=self._blobs.path(image.sha256),
            header=header,
            image_id=image.image_id,
            door="dicom" if header.media_type == DICOM else "file",
            paediatric_source=not self._paediatric.isdisjoint(
                (image.source, header.station_name, header.institution_name)
            ),
        )

    def _batch(self, files: list[ImageFile], loaded: Loaded) -> Batch:
        batch = Batch(files, pool=self._pool, bundle=loaded.bundle, preview_side=PREVIEW_SIDE)
        return traced.decoding(batch)

    def _read(self, begun: _Begun) -> _Screened | None:
        """What the network says of the batch; None where it broke and the studies are tried again later."""
        try:
            return self._screen(begun)
        except NetworkBroke as error:
            self._postpone_all(begun.studies, str(error))
            return None

    def _settle(self, begun: _Begun, screened: _Screened | None) -> int:
        """Records the batch, while the network reads the next; what broke on this machine is postponed."""
        if screened is None:
            return 0
        results: dict[UUID, list[tuple[ImageToScreen, ImageScreened, str | None]]] = {
            study.study_id: [] for study in begun.studies
        }
        for (study, image), (result, preview) in zip(begun.images, screened, strict=True):
            results[study.study_id].append((image, result, preview))
        read: list[tuple[StudyToScreen, list[ImageRead]]] = []
        for study in begun.studies:
            of_study = results[study.study_id]
            broken = next((result.reason for _, result, _ in of_study if result.retry_helps), None)
            if broken is not None:
                self._recorder.postpone(study, broken)
            else:
                read.append((study, [image_read(*one) for one in of_study]))
        self._recorder.record(read, loaded=begun.loaded)
        seconds = round(time.monotonic() - begun.began, 3)
        _log.info("batch_screened", **named(read), images=len(screened), seconds=seconds)
        return len(read)

    def _outcome_of(self, writing: Future[int]) -> int:
        """How many studies got a reading in the end, whatever else went wrong."""
        try:
            return writing.result()
        except Unavailable:
            _log.warning("database_silent", studies=len(self._recorder.held))
        except Exception as error:  # noqa: BLE001, as in `drain`
            _log.error("recording_broke", error=type(error).__name__, at=frames_of(error))
        return 0

    def _screen(self, begun: _Begun) -> _Screened:
        """One entry per image; waits for the decoding."""
        screened: _Screened = []
        batch = begun.first
        for number in range(1, len(begun.parts) + 1):
            assert batch is not None
            following = self._batch(begun.parts[number], begun.loaded) if number < len(begun.parts) else None
            try:
                self._await(batch)
            except _Stopping:
                batch.cancel()
                if following is not None:
                    following.cancel()
                raise
            previews = [self._keep_preview(decoding) for decoding in batch.decodings]
            results = traced.screen(batch, begun.loaded)
            stored = [None if preview is None else preview.result() for preview in previews]
            screened += zip(results, stored, strict=True)
            batch = following
        return screened

    def _await(self, batch: Batch) -> None:
        """Returns when the batch is decoded. Raises _Stopping where the worker must end before."""
        while undecoded := batch.undecoded():
            if self._stop.is_set():
                self._stop_by = self._stop_by or time.monotonic() + GRACE_SECONDS
                if time.monotonic() > self._stop_by:
                    raise _Stopping
            self._recorder.prolong()
            wait(undecoded, timeout=0.2)
        self._recorder.prolong()
        if self._stop.is_set() and any(decoding and decoding.exception() for decoding in batch.decodings):
            raise _Stopping  # whoever ends this worker may have ended its decoders first: that tells nothing

    def _keep_preview(self, decoding: Future[Presentation] | None) -> Future[str | None] | None:
        """Stores a preview while the network reads."""
        if decoding is None or decoding.cancelled() or decoding.exception() is not None:
            return None
        return self._keeper.submit(self._put, decoding.result().preview_jpeg)

    def _put(self, preview: bytes) -> str | None:
        try:
            return self._blobs.put(preview)
        except (Unavailable, OSError) as error:  # a full disk must not cost the reading
            _log.warning("preview_not_kept", error=type(error).__name__)
            return None

    def _postpone_all(
        self, studies: list[StudyToScreen], sentence: str, *, lacking: Lacking | None = None
    ) -> None:
        for study in studies:
            self._recorder.postpone(study, sentence, lacking=lacking)
