"""Folders in which an unprivileged account can work too, because PostgreSQL refuses to run as root."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that every account can enter (pytest's own is closed to others)."""
    made = Path(tempfile.mkdtemp(prefix="fr-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)
