"""What the folders say of files that were sent to a service with their paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.examples import NORMAL_NAMES, is_junk, may_be_image, split_named


@dataclass(frozen=True)
class Place:
    """What the folders say of a file."""

    label: str
    split: str
    """train, val, test, or empty."""


def places(paths: Iterable[str]) -> dict[str, Place]:
    """What the folders say of files that were sent with these paths, slashes between; files in no folder of a
    class are left out.

    Folders around everything count for nothing, unless they are called like a class or a split.
    """
    parts = {path: PurePosixPath(path).parts for path in paths if not is_junk(path)}
    folders = [names[:-1] for path, names in parts.items() if may_be_image(path)]
    around = 0
    while (
        len({names[around : around + 1] for names in folders}) == 1
        and any(len(names) > around + 1 for names in folders)
        and not _says_something(folders[0][around])
    ):
        around += 1
    below = {path: names[around:] for path, names in parts.items() if len(names) > around}
    in_splits = any(len(names) > 2 and split_named(names[0]) for names in below.values())
    found = {}
    for path, names in below.items():
        split = split_named(names[0]) if in_splits else ""
        if split is not None and len(names) > 1 + in_splits:
            found[path] = Place(names[int(in_splits)], split)
    return found


def _says_something(folder: str) -> bool:
    return folder.strip().lower() in NORMAL_NAMES or split_named(folder) is not None
