"""Decode images in supervised child processes: a codec that crashes, hangs or eats memory costs one image.

Children are started with a clean interpreter, never forked from this (threaded) process, and live for many
images.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from app.dicom.decoded import PixelValues, Presentation
from app.dicom.decoder_process import NONSENSE, Answer, ChildLost, DecoderProcess
from app.dicom.windowing import VoiLut, Window
from app.errors import DecodeFailed, Problem, Unavailable

Result = TypeVar("Result")

JOBS_PER_CHILD = 2000
"""After so many images a child is replaced, so that no codec's leak grows for ever."""


@dataclass(frozen=True)
class _Job:
    request: dict[str, Any]
    understand: Callable[[Answer], Any]
    future: Future[Any]


class DecoderPool:
    """`processes` children, each decoding one image at a time within `seconds` and `memory_bytes`.

    `memory_bytes` is what decoding one image may take on top of the idle child (enforced on Linux). All
    methods may be called from any thread. Every future ends: with its result, with DecodeFailed and a
    sentence on the image, or with Unavailable when no child can be started. The pool stays usable after each
    of these.
    """

    def __init__(self, *, processes: int, seconds: float, memory_bytes: int) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._children: dict[int, int] = {}
        self._threads = [
            threading.Thread(target=self._supervise, args=(number,), name=f"decoder-{number}", daemon=True)
            for number in range(processes)
        ]
        for thread in self._threads:
            thread.start()

    def presentation(
        self, path: Path, media_type: str, *, preview_side: int = 1024, reading_side: int = 0
    ) -> Future[Presentation]:
        """The image as a person first sees it, and a preview JPEG that fits `preview_side` (0: none).

        Where there is a `reading_side`, the picture comes averaged in whole boxes, its shorter side still
        that many pixels or more: for a reader who would do that next, and a tenth of the bytes to hand over.
        """
        return self._submit(
            "presentation",
            path,
            _presentation,
            media_type=media_type,
            preview_side=preview_side,
            reading_side=reading_side,
        )

    def values(self, path: Path, media_type: str) -> Future[PixelValues]:
        """The samples at full depth with all that a viewer needs to window them."""
        return self._submit("values", path, _values, media_type=media_type)

    def rendered(
        self,
        path: Path,
        media_type: str,
        *,
        window: Window | None = None,
        viewport: tuple[int, int] | None = None,
        picture_format: Literal["jpeg", "png"] = "jpeg",
        quality: int = 90,
    ) -> Future[bytes]:
        """A JPEG or PNG, by `window` or as presented, made to fit `viewport` (columns, rows) if it is
        larger.
        """
        return self._submit(
            "rendered",
            path,
            _only_buffer,
            media_type=media_type,
            window=None if window is None else asdict(window),
            viewport=viewport,
            picture_format=picture_format,
            quality=quality,
        )

    def native_frame(self, path: Path, number: int) -> Future[bytes]:
        """Frame `number` (from 1) of a DICOM file without compression, little endian."""
        return self._submit("native_frame", path, _only_buffer, number=number)

    def child_ids(self) -> tuple[int, ...]:
        """Process ids of the children that run now, for the health page and the operator."""
        with self._lock:
            return tuple(self._children.values())

    def close(self) -> None:
        """Cancel what waits, let what runs end within its time, and end the children. May be called twice."""
        with self._lock:
            already, self._closed = self._closed, True
        if already:
            return
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                job.future.cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(self._seconds + 10)

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(
        self, job: str, path: Path, understand: Callable[[Answer], Result], **details: Any
    ) -> Future[Result]:
        future: Future[Result] = Future()
        request = {"job": job, "path": str(path.resolve()), **details}
        with self._lock:
            if self._closed:
                raise RuntimeError("the decoder pool is closed")
            self._jobs.put(_Job(request, understand, future))
        return future

    def _supervise(self, number: int) -> None:
        """One thread for each child: start it, feed it, replace it."""
        child = self._try_to_start(number)
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            if child is None or not child.alive() or child.served >= JOBS_PER_CHILD:
                self._end(number, child)
                child = self._try_to_start(number)
            if child is None:
                job.future.set_exception(Unavailable("The image decoder cannot be started at the moment."))
                continue
            try:
                answer = child.ask(job.request, seconds=self._seconds)
                result = job.understand(answer)
            except (ChildLost, LookupError, TypeError, ValueError) as lost:
                # A child whose answer cannot be understood is as good as lost: its memory is not to be
                # trusted.
                self._end(number, child)
                child = None
                job.future.set_exception(
                    DecodeFailed(lost.sentence if isinstance(lost, ChildLost) else NONSENSE)
                )
            except Problem as problem:
                job.future.set_exception(problem)
            else:
                job.future.set_result(result)
            job = None
        self._end(number, child)

    def _try_to_start(self, number: int) -> DecoderProcess | None:
        try:
            child = DecoderProcess(memory_bytes=self._memory_bytes)
        except (OSError, ChildLost):
            return None
        with self._lock:
            self._children[number] = child.process_id
        return child

    def _end(self, number: int, child: DecoderProcess | None) -> None:
        if child is not None:
            child.end()
        with self._lock:
            self._children.pop(number, None)


def _presentation(answer: Answer) -> Presentation:
    grey, preview = answer.buffers
    rows, columns = answer.fields["shape"]
    return Presentation(
        np.frombuffer(grey, np.uint8).reshape(int(rows), int(columns)),
        bytes(preview),
        int(answer.fields["rows"]),
        int(answer.fields["columns"]),
        tuple(answer.fields["notices"]),
    )


def _values(answer: Answer) -> PixelValues:
    fields = dict(answer.fields)
    windows = tuple(Window(**window) for window in fields.pop("windows"))
    voi_lut = fields.pop("voi_lut")
    if voi_lut is not None:
        voi_lut = VoiLut(**(voi_lut | {"entries": tuple(voi_lut["entries"])}))
    padding = fields.pop("padding")
    return PixelValues(
        data=bytes(answer.buffers[0]),
        windows=windows,
        voi_lut=voi_lut,
        padding=None if padding is None else (padding[0], padding[1]),
        **fields,
    )


def _only_buffer(answer: Answer) -> bytes:
    return bytes(answer.buffers[0])
