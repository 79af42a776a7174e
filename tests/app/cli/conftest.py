"""One running service for all of these tests, and one that a test starts itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.cli.starting import Up


def _make_home() -> Path:
    top = Path(tempfile.mkdtemp(prefix="fr-"))
    top.chmod(0o711)
    return top / "var"


@pytest.fixture(scope="session")
def service() -> Iterator[Up]:
    """A running service with its samples; tests leave it running."""
    running = Up(_make_home(), FIRSTREAD_SAMPLES="true")
    try:
        running.start()
        yield running
    finally:
        running.kill()
        shutil.rmtree(running.home.parent, ignore_errors=True)


@pytest.fixture
def another() -> Iterator[Up]:
    """A service that is not started yet, on a home that does not exist yet."""
    made = Up(_make_home())
    yield made
    made.kill()
    shutil.rmtree(made.home.parent, ignore_errors=True)
