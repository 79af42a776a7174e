"""Open a DICOM file of unknown origin with bounded memory and time, up to and not including its pixels.

What arrives here may be hostile: lengths lie, sequences nest without end, a deflated kilobyte becomes a
gigabyte. So all reading goes through a stream that counts bytes and calls, and a deflated dataset is
inflated against a limit.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from app.dicom.elements import text
from app.dicom.foreign import describe_foreign
from app.domain.sentence import sentence
from app.errors import NotAnImage, TooLarge, Unreadable

# Real files break the letter of the standard in every way: read what can be read. And pydicom's warnings
# quote values, which are patient data: they may not reach a log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\b")

PREAMBLE = b"\0" * 128 + b"DICM"
HEADER_BYTES = 16 * 2**20
"""The most bytes a header may have in all; the headers of real radiographs have 2 to 200 kB."""
HEADER_READS = 30_000
"""The most reads for one header, about three for each element: what keeps thousands of empty items out of
memory, and the seconds that they take out of the web process. Real radiographs need some hundreds.
"""
DEFERRED_BYTES = 256 * 2**10
"""Top-level values longer than this (overlays, private blobs) are skipped; the longest palette has 128 kB."""
INFLATED_BYTES = 192 * 2**20
"""The most bytes a deflated dataset may inflate to, which holds the largest radiograph; they go to a file."""

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float Pixel Data, Double Float Pixel Data, Pixel Data."""
_LAST_PIXEL_TAG = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class PixelElement:
    """Where the pixels are: `length` bytes from `offset`, or fragments when `length` is None."""

    tag: int
    vr: str | None
    offset: int
    length: int | None


@dataclass(frozen=True)
class OpenedDicom:
    """A dataset up to its pixels. `stream` is the file, or its inflated copy, and closes with the context;
    `dataset_offset` is where the (perhaps deflated) dataset begins in the file."""

    dataset: Dataset
    file_meta: Dataset
    transfer_syntax: str
    big_endian: bool
    dataset_offset: int
    stream: IO[bytes]
    pixels: PixelElement | None


class _CountedStream:
    """A binary stream that refuses to be read more often or further than a header of any radiograph would
    be.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._bytes_left = HEADER_BYTES
        self._reads_left = HEADER_READS
        self.exceeded: str | None = None

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._bytes_left:
            size = self._bytes_left + 1
        data = self._stream.read(size)
        self._bytes_left -= len(data)
        self._reads_left -= 1
        if self._bytes_left < 0:
            self._refuse(sentence(f"Its header is longer than {HEADER_BYTES // 2**20} MB."))
        if self._reads_left < 0:
            self._refuse(sentence("Its header has more elements than any radiograph's."))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _refuse(self, sentence: str) -> None:
        # pydicom turns any exception inside a sequence into its own, so the reason is kept here.
        self.exceeded = sentence
        raise OSError(sentence)


@contextmanager
def open_dicom(path: Path) -> Iterator[OpenedDicom]:
    """Open a Part 10 file or a bare dataset (PS3.10 section 7, with or without its preamble).

    Raises NotAnImage when the bytes are no DICOM, TooLarge when a limit of this module is passed, Unreadable
    when the structure is broken before the pixels.
    """
    with path.open("rb") as file:
        head = file.read(132)
        if head[128:132] == b"DICM":
            file.seek(132)
        elif _starts_a_dataset(head):
            file.seek(0)
        else:
            raise NotAnImage(describe_foreign(head))
        counted = _CountedStream(file)
        try:
            file_meta = _read(counted, implicit=False, little=True, stop_at=0x00030000)[0]
        except Exception as error:
            raise _refusal(counted, error) from error
        syntax = text(file_meta, "TransferSyntaxUID") or ""
        offset = file.tell()
        if syntax == DeflatedExplicitVRLittleEndian:
            with tempfile.SpooledTemporaryFile(max_size=8 * 2**20) as inflated:
                _inflate(file, cast("IO[bytes]", inflated))
                yield _open_dataset(cast("IO[bytes]", inflated), file_meta, syntax, offset)
        else:
            yield _open_dataset(file, file_meta, syntax, offset)


def _open_dataset(stream: IO[bytes], file_meta: Dataset, syntax: str, offset: int) -> OpenedDicom:
    implicit, little = _encoding(stream, syntax)
    counted = _CountedStream(stream)
    try:
        dataset, pixels = _read(counted, implicit=implicit, little=little, stop_at=_LAST_PIXEL_TAG + 1)
    except Exception as error:
        raise _refusal(counted, error) from error
    if not syntax:
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        syntax = ImplicitVRLittleEndian if implicit else explicit
    return OpenedDicom(dataset, file_meta, syntax, not little, offset, stream, pixels)


def _read(
    stream: _CountedStream, *, implicit: bool, little: bool, stop_at: int
) -> tuple[Dataset, PixelElement | None]:
    """Read elements until a tag of `stop_at` or more, or until pixels, whose place is returned with them."""
    found: list[PixelElement] = []

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXEL_TAGS:
            found.append(PixelElement(int(tag), vr, stream.tell(), None if length == _UNDEFINED else length))
            return True
        return tag >= stop_at

    dataset = read_dataset(
        cast("IO[bytes]", stream),  # type: ignore[arg-type]
        implicit,
        little,
        stop_when=stop,
        defer_size=DEFERRED_BYTES,
    )
    return dataset, found[0] if found else None


def _encoding(stream: IO[bytes], syntax: str) -> tuple[bool, bool]:
    """Say (implicit VR, little endian) from the transfer syntax, or from the first element when it is not
    named.
    """
    if syntax:
        uid = UID(syntax)
        if uid.is_private or uid.type != "Transfer Syntax":
            return False, True
        return uid.is_implicit_VR, uid.is_little_endian
    start = stream.tell()
    first = stream.read(6)
    stream.seek(start)
    explicit = first[4:6].isalpha() and first[4:6].isupper()
    # Group 0008 in big endian reads as 0x0800 in little endian.
    little = len(first) < 2 or int.from_bytes(first[:2], "little") < 0x0400
    return not explicit, little


def _starts_a_dataset(head: bytes) -> bool:
    """True when the bytes could be the first element of a dataset: a low even group, then a VR or a sane
    length.
    """
    if len(head) < 16:
        return False
    little_group, big_group = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if little_group in (0x0002, 0x0004, 0x0008, 0x0010):
        return explicit or int.from_bytes(head[4:8], "little") <= 4096
    return big_group == 0x0008 and explicit


def _inflate(source: IO[bytes], target: IO[bytes]) -> None:
    """Inflate the rest of `source` (raw deflate, PS3.5 A.5) into `target` and rewind it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    room = INFLATED_BYTES
    try:
        while chunk := source.read(2**18):
            while chunk:
                data = inflater.decompress(chunk, 2**20)
                room -= len(data)
                if room < 0:
                    raise TooLarge(
                        f"The deflated file inflates to more than {INFLATED_BYTES // 2**20} MB. "
                        "Send the image without deflate."
                    )
                target.write(data)
                chunk = inflater.unconsumed_tail
            if inflater.eof:
                break
        target.write(inflater.flush())
    except zlib.error as error:
        raise Unreadable(
            "The file says that it is deflated and its data cannot be inflated. Send the file again."
        ) from error
    target.seek(0)


def _refusal(stream: _CountedStream, error: Exception) -> Unreadable | TooLarge:
    """The problem for a header that could not be read; never the words of the exception, which may quote
    values.
    """
    if stream.exceeded:
        return TooLarge(f"{stream.exceeded} Send a single radiograph per file.")
    if isinstance(error, RecursionError):
        return Unreadable(
            "The header's sequences are nested too deeply to be read. Send the file as the device made it."
        )
    return Unreadable("The DICOM header is damaged and cannot be read. Send the file again from its source.")
