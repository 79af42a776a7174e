"""Real clients and archives against the real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.roles import Scope
from app.records.engine import transaction
from tests.builders import a_key
from tests.listening import Listening, listening
from tests.served import Service, serving


@pytest.fixture
def served(database: str, broker: str, home: Path) -> Iterator[Service]:
    """The web server in a process of its own, without workers."""
    with serving(home) as service:
        yield service


@pytest.fixture
def key(database: str) -> str:
    """A key that sends and reads."""
    with transaction() as session:
        return a_key(session, "peer", Scope.INTAKE, Scope.READ)


@pytest.fixture
def here(database: str, broker: str) -> Iterator[Listening]:
    """A DICOM listener in this process that any title of this machine may call."""
    with listening() as found:
        yield found
