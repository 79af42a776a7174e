"""How a run of several processes shares its work: files stay whole, some folders too, the longest first; and
what is costly to make is made by one process for all.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE = ("tests/app/cli", "tests/browser")
"""Folders whose tests share a running service or a browser, which one process starts once."""
LONGEST_FIRST = (
    "tests/faults",
    "tests/fuzz",
    *WHOLE,
    "tests/worker",
    "tests/models",
    "tests/peers",
    "tests/app/embedded",
    "tests/app/dicom",
)
"""What comes last should be short, or one process idles while another ends."""


def rank(nodeid: str) -> int:
    """When a test's turn comes: 0 first."""
    for place, folder in enumerate(LONGEST_FIRST):
        if nodeid.startswith(f"{folder}/"):
            return place
    return len(LONGEST_FIRST)


class WholeFolders(LoadScopeScheduling):  # type: ignore[misc]
    """A process that is free takes the next file, or the next of the folders that stay whole."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in WHOLE if file.startswith(f"{folder}/")), file)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name, filled by `make` in whichever process of the run asks first; the others wait
    and find it.
    """
    base = factory.getbasetemp()
    # In a run of several processes each has a base of its own within the run's.
    run = base.parent if base.name.startswith("popen-") else base
    folder, done = run / name, run / f"{name}.made"
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
