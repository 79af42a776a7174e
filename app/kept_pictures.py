"""The folder of pictures that a web process keeps decoded: what of a deleted image lies there goes too.

Names begin with the image's sha256. Whoever removes stored bytes removes them on its own machine; web
processes on another one drop what no image names any more (`app.web.parts`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"([0-9a-f]{64})\..+")
_HALF_WRITTEN_SECONDS = 3600.0


class KeptPictures:
    """The pictures below one folder, which need not be there."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "cache" / "pictures"

    def forget(self, images: Collection[str]) -> None:
        """No picture of these images (sha256) is kept."""
        if images:
            self._remove(set(images).__contains__)

    def keep_only(self, named: Callable[[Collection[str]], set[str]]) -> int:
        """No picture is kept of images that `named`, asked after the look, leaves out; returns how many files
        went. Nor is what a process that was killed had half written.
        """
        there = {match[1] for path in self._files() if (match := _NAME.fullmatch(path.name))}
        gone = there - named(there) if there else set()
        return self._remove(gone.__contains__)

    def _remove(self, goes: Callable[[str], bool]) -> int:
        removed = 0
        for path in self._files():
            match = _NAME.fullmatch(path.name)
            with suppress(FileNotFoundError):
                if goes(match[1]) if match else time.time() - path.stat().st_mtime > _HALF_WRITTEN_SECONDS:
                    path.unlink()
                    removed += 1
        return removed

    def _files(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []
