"""The work of `firstread predict`: files in, a line of JSON for each out, in their order."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.file_list import files_of
from app.dicom.decoder_pool import DecoderPool
from app.dicom.header import read_header
from app.domain.states import Outcome
from app.errors import Problem
from app.settings import settings
from models.bundle import Bundle, BundleRefused, default_bundle_path
from worker.screen import Batch, ImageFile, ImageScreened, NetworkBroke, batches

_READ_AHEAD = 48
"""Files whose headers and hashes are read before their turn."""
_BATCHES_AHEAD = 2
"""Batches that decode while the network reads one, so that no decoder waits for it."""
_READING_THREADS = 2
_CHUNK = 2**20


@dataclass(frozen=True)
class _Opened:
    """A file whose header was read, or the sentence why it could not be."""

    path: Path
    sha256: str | None
    file: ImageFile | None
    refused: str | None = None

    @property
    def pixels(self) -> int:
        return self.file.pixels if self.file is not None else 0


@dataclass(frozen=True)
class _Begun:
    opened: list[_Opened]
    batch: Batch


def run(*, paths: list[Path], out: str, bundle: Path | None, device: str) -> int:
    """Writes a line for every file to `out` ("-": standard output), in order; returns the exit code.

    An unreadable file is a line with the outcome "failed", never an end. The file `out` appears whole or not
    at all. 1 where nothing could be read, 2 where there was nothing to do.
    """
    target = None if out == "-" else Path(out)
    if target is not None and (target.is_dir() or not target.absolute().parent.is_dir()):
        return _complain(f"{target} cannot be written: name a file in a folder that exists.")
    files = files_of(paths, besides=target)
    if not files:
        return _complain("There is no file in the folders given.")
    counts: Counter[str] = Counter()
    with _pool() as pool:  # its children start while the network is loaded
        try:
            network = Bundle.load(bundle or default_bundle_path(), device=device)
        except BundleRefused as refusal:
            print(refusal, file=sys.stderr)
            return 1
        started = time.monotonic()
        with _destination(target) as stream:
            for line in _with_progress(_screen(files, pool=pool, bundle=network), total=len(files)):
                counts[line["outcome"]] += 1
                stream.write(json.dumps(line) + "\n")
    seconds = time.monotonic() - started
    told = ", ".join(f"{counts[outcome.value]} {outcome.value}" for outcome in Outcome)
    print(
        f"{len(files)} files in {seconds:.1f} s ({len(files) / seconds:.1f} a second): {told}.",
        file=sys.stderr,
    )
    return 1 if counts[Outcome.FAILED.value] == len(files) else 0


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


def _pool() -> DecoderPool:
    configuration = settings()
    return DecoderPool(
        processes=os.cpu_count() or 1,
        seconds=configuration.decoder_timeout,
        memory_bytes=configuration.decoder_memory,
    )


def _screen(files: list[Path], *, pool: DecoderPool, bundle: Bundle) -> Iterator[dict[str, Any]]:
    """A line for each file, in order: headers are read and pixels decoded while the network reads."""
    begun: deque[_Begun] = deque()
    with ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="headers") as readers:
        for opened in batches(_opened(files, readers), pixels=lambda one: one.pixels):
            readable = [one.file for one in opened if one.file is not None]
            begun.append(_Begun(opened, Batch(readable, pool=pool, bundle=bundle)))
            if len(begun) > _BATCHES_AHEAD:
                yield from _finish(begun.popleft(), bundle)
        while begun:
            yield from _finish(begun.popleft(), bundle)


def _finish(begun: _Begun, bundle: Bundle) -> Iterator[dict[str, Any]]:
    try:
        screened = iter(begun.batch.screen())
    except NetworkBroke as error:
        broken = ImageScreened(outcome=Outcome.FAILED, reason=str(error))
        screened = iter([broken] * len(begun.batch.files))
    for one in begun.opened:
        result = (
            next(screened)
            if one.file is not None
            else ImageScreened(outcome=Outcome.FAILED, reason=one.refused)
        )
        yield _line(one, result, bundle)


def _line(opened: _Opened, result: ImageScreened, bundle: Bundle) -> dict[str, Any]:
    return {
        "path": str(opened.path),
        "sha256": opened.sha256,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "findings": {
            name: {"probability": finding.probability, "present": finding.present, "lane": finding.lane}
            for name, finding in result.findings.items()
        },
        "urgency": result.urgency,
        "model": f"{bundle.manifest.name} {bundle.manifest.version}",
        "notices": list(result.notices),
    }


def _opened(files: Iterable[Path], readers: ThreadPoolExecutor) -> Iterator[_Opened]:
    """The files in order, read by `readers` some way ahead."""
    ahead: deque[Future[_Opened]] = deque()
    for path in files:
        ahead.append(readers.submit(_open, path))
        if len(ahead) > _READ_AHEAD:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _open(path: Path) -> _Opened:
    if not path.is_file():
        return _Opened(path, None, None, "There is no such file.")
    try:
        sha256 = _sha256(path)
    except OSError as error:
        return _Opened(path, None, None, f"The file cannot be read: {error.strerror or error}.")
    try:
        header = read_header(path, with_attributes=False)
    except Problem as problem:
        return _Opened(path, sha256, None, problem.detail)
    except OSError as error:
        return _Opened(path, sha256, None, f"The file cannot be read: {error.strerror or error}.")
    return _Opened(path, sha256, ImageFile(path=path, header=header, door="file"))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _destination(target: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that takes its name only once all of it is there."""
    if target is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _with_progress(lines: Iterator[dict[str, Any]], *, total: int) -> Iterator[dict[str, Any]]:
    """The lines, with a bar on standard error where somebody watches."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("Screening"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("screening", total=total, speed="")
        started = time.monotonic()
        for done, line in enumerate(lines, start=1):
            yield line
            progress.update(bar, completed=done, speed=f"{done / (time.monotonic() - started):.1f}/s")
