"""Uploads as they stream in: each part goes to a staged file, and no file is ever whole in memory.

Nothing here is admitted; what is staged is discarded when the request ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from app.blobs import Blobs, StagedFile
from app.errors import BadRequest, Problem, TooLarge, Unprocessable, UnsupportedMediaType
from app.settings import settings

FORM = "multipart/form-data"
_FLUSH_BYTES = 2 * 1024 * 1024
"""A part is written in pieces of this size: a thread is asked once per piece, not once per packet."""
_LONGEST_FIELD = 16 * 1024
_MOST_FIELDS = 64
_LONGEST_BOUNDARY = 200
"""RFC 2046 allows 70 characters; Orthanc 1.10 sends 73."""
MOST_FILES = 5000
_MOST_OPEN = 128
"""Files of a request that may stay open until all of it is there; a process often has only 1,024."""


@dataclass(eq=False)
class ReceivedPart:
    """One part of a multipart body; a file is staged, a field is in `value`."""

    headers: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    file_name: str | None = None
    is_file: bool = True
    staged: StagedFile | None = None
    value: bytearray = field(default_factory=bytearray)
    problem: Problem | None = None
    whole: bool = False
    pending: list[memoryview] = field(default_factory=list)
    """Received and not yet written: views of the packets, so that nothing is copied on the event loop."""

    @property
    def media_type(self) -> str:
        """The part's Content-Type without parameters, in small letters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass
class Received:
    """A body that has come whole; `finish` writes the last of it, in the thread that goes on with it."""

    parts: list[ReceivedPart] = field(default_factory=list)
    finish: Callable[[], None] = lambda: None

    @property
    def files(self) -> list[ReceivedPart]:
        """The parts that are files, in the order they came."""
        return [part for part in self.parts if part.is_file]

    def fields(self) -> dict[str, str]:
        """The parts that are not; raises BadRequest for text that is not UTF-8 or holds NUL."""
        values: dict[str, str] = {}
        for part in self.parts:
            if part.is_file or part.name is None:
                continue
            try:
                text = part.value.decode("utf-8")
            except UnicodeDecodeError:
                raise BadRequest("A field of the form is not UTF-8.") from None
            if "\0" in text:
                raise BadRequest("A field of the form holds a NUL character.")
            values[part.name] = text
        return values

    def discard(self) -> None:
        """Forgets every staged file that was not kept."""
        for part in self.parts:
            if part.staged is not None:
                part.staged.discard()
                part.staged = None

    async def end(self) -> None:
        """Discards in a thread, where there is anything left to discard."""
        if any(part.staged is not None for part in self.parts):
            await run_in_threadpool(self.discard)


class _Writer:
    """Takes what the parser finds and writes it where it belongs."""

    def __init__(self, received: Received, *, blobs: Blobs, form: bool) -> None:
        self._received = received
        self._blobs = blobs
        self._form = form
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._part = ReceivedPart()
        self._fields = 0
        self._waiting: list[ReceivedPart] = []
        self.waiting_bytes = 0
        self.ended = False

    def on_part_begin(self) -> None:
        self._part = ReceivedPart()
        self._received.parts.append(self._part)
        if len(self._received.parts) > MOST_FILES + _MOST_FIELDS:
            raise TooLarge(f"A request may have at most {MOST_FILES:,} files. Send fewer at a time.")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = (bytes(text).decode("latin-1").strip() for text in self._header)
        self._part.headers[name.lower()] = value
        self._header = (bytearray(), bytearray())

    def on_headers_finished(self) -> None:
        part = self._part
        if part.headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            part.problem = UnsupportedMediaType(
                "Send the part as it is, without a Content-Transfer-Encoding."
            )
        _, options = parse_options_header(part.headers.get("content-disposition", ""))
        part.name = _text(options.get(b"name"))
        part.file_name = _text(options.get(b"filename"))
        part.is_file = not self._form or part.file_name is not None
        self._fields += not part.is_file
        if self._fields > _MOST_FIELDS:
            raise TooLarge(f"A form may have at most {_MOST_FIELDS} fields beside its files.")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if not part.is_file:
            part.value += data[start:end]
            if len(part.value) > _LONGEST_FIELD:
                raise TooLarge(f"A field of the form may have at most {_LONGEST_FIELD:,} bytes.")
        elif part.problem is None:
            self._wait_for(part)
            part.pending.append(memoryview(data)[start:end])
            self.waiting_bytes += end - start

    def on_part_end(self) -> None:
        self._part.whole = True
        if self._part.is_file and self._part.problem is None:
            self._wait_for(self._part)

    def on_end(self) -> None:
        self.ended = True

    def _wait_for(self, part: ReceivedPart) -> None:
        if not self._waiting or self._waiting[-1] is not part:
            self._waiting.append(part)

    def flush(self) -> None:
        """Writes what is waiting. A file that is too large is refused alone; a full disk refuses all."""
        waiting, self._waiting, self.waiting_bytes = self._waiting, [], 0
        for part in waiting:
            if part.problem is None:
                try:
                    self._write(part)
                except TooLarge as problem:
                    part.problem = problem
            part.pending = []
            if part.whole and part.staged is not None and len(self._received.parts) > _MOST_OPEN:
                part.staged.sync()

    def _write(self, part: ReceivedPart) -> None:
        if part.staged is None:
            part.staged = self._blobs.stage(max_bytes=settings().max_file_bytes)
        if part.pending:
            part.staged.write(b"".join(part.pending))


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace").replace("\0", "")


@asynccontextmanager
async def receiving_parts(
    request: Request, blobs: Blobs, *, boundary: bytes, form: bool
) -> AsyncIterator[Received]:
    """The parts of a multipart body, all of it received; staged files are discarded when the block ends.

    `form` tells multipart/form-data, where parts without a file name are fields, from multipart/related.
    Raises BadRequest for a body that is no multipart or is cut off, TooLarge, and Unavailable for a full
    disk.
    """
    refuse_encoded(request)
    received = Received()
    writer = _Writer(received, blobs=blobs, form=form)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": writer.on_part_begin,
            "on_part_data": writer.on_part_data,
            "on_part_end": writer.on_part_end,
            "on_header_field": writer.on_header_field,
            "on_header_value": writer.on_header_value,
            "on_header_end": writer.on_header_end,
            "on_headers_finished": writer.on_headers_finished,
            "on_end": writer.on_end,
        },
    )
    try:
        async for chunk in request.stream():
            if chunk:
                parser.write(chunk)
            if writer.waiting_bytes >= _FLUSH_BYTES:
                await run_in_threadpool(writer.flush)
        if not writer.ended:
            raise BadRequest("The body ends before its last boundary. Send it again, whole.")
        received.finish = writer.flush
        yield received
    except FormParserError as error:
        raise BadRequest("The body is not the multipart that its Content-Type announces.") from error
    finally:
        await received.end()


@asynccontextmanager
async def receiving_file(request: Request, blobs: Blobs) -> AsyncIterator[Received]:
    """The whole body as one file; otherwise as `receiving_parts`."""
    refuse_encoded(request)
    part = ReceivedPart(staged=await run_in_threadpool(blobs.stage, max_bytes=settings().max_file_bytes))
    received = Received([part])
    assert part.staged is not None
    waiting = 0
    try:
        async for chunk in request.stream():
            part.pending.append(memoryview(chunk))
            waiting += len(chunk)
            if waiting >= _FLUSH_BYTES:
                waiting, whole = 0, b"".join(part.pending)
                part.pending = []
                await run_in_threadpool(part.staged.write, whole)
        await run_in_threadpool(part.staged.write, b"".join(part.pending))
        yield received
    finally:
        await received.end()


@asynccontextmanager
async def receiving_radiograph(request: Request, blobs: Blobs) -> AsyncIterator[StagedFile]:
    """The one file of a form with the field `file`, staged; otherwise as `receiving_parts`."""
    kind, options = content_type_of(request)
    if kind != FORM:
        raise UnsupportedMediaType("Send multipart/form-data with one radiograph in the field `file`.")
    async with receiving_parts(request, blobs, boundary=boundary_in(options), form=True) as received:
        await run_in_threadpool(received.finish)
        if len(received.files) != 1:
            raise Unprocessable("Send exactly one radiograph in the field `file`.")
        [file] = received.files
        if file.problem is not None:
            raise file.problem
        assert file.staged is not None
        yield file.staged


def refuse_encoded(request: Request) -> None:
    """Raises UnsupportedMediaType for a compressed body, whose true size nobody knows."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")


def content_type_of(request: Request) -> tuple[str, dict[bytes, bytes]]:
    """The media type in small letters, and its parameters."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.decode("latin-1").strip().lower(), options


def boundary_in(options: dict[bytes, bytes]) -> bytes:
    """The boundary parameter; raises BadRequest where there is none that a boundary could be."""
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > _LONGEST_BOUNDARY:
        raise BadRequest("The Content-Type of a multipart body names its boundary.")
    return boundary
