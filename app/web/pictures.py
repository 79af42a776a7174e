"""Pictures that the children decoded, kept on disk so that a study opened twice is decoded once.

The cache holds nothing that cannot be made again; it is trimmed to its limit, the longest unused first. What
no image names any more goes when the process starts and every few minutes: the one that deletes a patient may
be on another machine, or be killed before it has removed the pictures (`app.kept_pictures`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from app.dicom.decoded import PixelValues
from app.errors import Unavailable

Result = TypeVar("Result")

VERSION = 2
"""Part of every name; grows when what is kept changes its meaning."""
MOST_BYTES = 4 * 1024**3
MOST_WAITING = 64
_TRIM_EVERY = 64
_LEVEL = 1
"""Of gzip: radiographs shrink by half at 1 and hardly more at 9, which takes ten times as long."""


class Pictures:
    """Kept pictures below one folder; lives on the event loop of the process."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._making: dict[str, asyncio.Task[None]] = {}
        self._waiting = 0
        self._made = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def busy(self) -> bool:
        """True while a picture is being decoded."""
        return self._waiting > 0

    async def pixels(self, sha256: str, decode: Callable[[], Future[PixelValues]]) -> tuple[Path, Path]:
        """Files with the gzipped samples and the JSON on how to show them; decoded where there are none."""
        samples, info = self._path(sha256, "samples.gz"), self._path(sha256, "info.json")

        async def make() -> None:
            values = await self._decoded(decode)
            await run_in_threadpool(_write, samples, gzip.compress, values.data, _LEVEL)
            await run_in_threadpool(_write, info, _info, values)

        if not (samples.exists() and info.exists()):
            await self._once(f"{sha256}.pixels", make)
        await run_in_threadpool(_touch, samples, info)
        return samples, info

    async def picture(self, sha256: str, kind: str, decode: Callable[[], Future[bytes]]) -> Path:
        """A file with the encoded picture of that kind; decoded where there is none."""
        path = self._path(sha256, kind)

        async def make() -> None:
            data = await self._decoded(decode)
            await run_in_threadpool(_write, path, bytes, data)

        if not path.exists():
            await self._once(path.name, make)
        await run_in_threadpool(_touch, path)
        return path

    async def unkept(self, decode: Callable[[], Future[bytes]]) -> bytes:
        """A picture made for one caller's wishes; nobody else will ask for it."""
        return await self._decoded(decode)

    async def _decoded(self, decode: Callable[[], Future[Result]]) -> Result:
        """Waits for a child without holding a thread; raises Unavailable where too many wait already."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many pictures are being decoded at the moment. Try again.")
        self._waiting += 1
        try:
            return await asyncio.wrap_future(await run_in_threadpool(decode))
        finally:
            self._waiting -= 1

    async def _once(self, key: str, make: Callable[[], Awaitable[None]]) -> None:
        """Whoever comes second waits for the first."""
        task = self._making.get(key)
        if task is None:

            async def run() -> None:
                try:
                    await make()
                finally:
                    del self._making[key]

            task = self._making[key] = asyncio.create_task(run())
            self._made += 1
        await asyncio.shield(task)
        if self._made % _TRIM_EVERY == 0:
            await run_in_threadpool(self.trim)

    def _path(self, sha256: str, kind: str) -> Path:
        return self._folder / f"{sha256}.{VERSION}.{kind}"

    def trim(self) -> None:
        """Removes what was not used for longest until the rest is within the limit."""
        files = []
        for path in self._folder.iterdir():
            try:
                files.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files, key=lambda file: file[0]):
            if total <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _info(values: PixelValues) -> bytes:
    fields = {name: value for name, value in asdict(values).items() if name != "data"}
    return json.dumps(fields | {"byte_length": len(values.data)}).encode()


def _write(path: Path, make: Callable[..., bytes], *arguments: object) -> None:
    """The file is there whole or not at all."""
    temporary = path.with_name(uuid4().hex)
    try:
        temporary.write_bytes(make(*arguments))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _touch(*paths: Path) -> None:
    for path in paths:
        try:
            os.utime(path)
        except FileNotFoundError:
            continue
