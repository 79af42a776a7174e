"""Which files a command was given: the files named, and those in the folders named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_of(paths: Iterable[Path], *, besides: Path | None = None) -> list[Path]:
    """The files in the order given, a folder's by name and folder by folder.

    Hidden files and folders inside a folder are left out, links to folders are not followed, and `besides`
    (what the command itself writes) is no file of a folder. A path that does not exist stays in the list.
    """
    own = None if besides is None else besides.absolute()
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [file for file in _files_below(path) if file.absolute() != own]
        else:
            found.append(path)
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(inside) / name
                if file.is_file():
                    yield file
