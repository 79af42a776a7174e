"""Real parts for every test: one PostgreSQL and one Valkey for each process of the run, a fresh migrated
database per test.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.blobs import Blobs
from app.commands import passwords
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.queue import configure_from_settings
from app.records.engine import forget_engine, transaction
from app.settings import settings
from migrations import upgrade
from tests.distribution import WholeFolders, rank
from tests.told_everywhere import everything_said_can_be_told  # noqa: F401  (for every test)

_TEMPLATE = "firstread_template"
_numbers = itertools.count(1)
_AS_SERVED = passwords._hasher
_REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Tracebacks of CI are Python's own. Pytest's parse the sources, and Python 3.11 breaks off when a
    greenlet or a thread (Playwright, a server) does so at that moment: that would end the run and hide what
    failed.
    """
    if os.environ.get("CI"):
        config.option.tbstyle = "native"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """In CI a skip is a failure, unless it says that it needs a GPU: CI installs everything else."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "GPU" not in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped in CI: {reason}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that the processes of a run end together."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Processes of the run share the cores: libraries whose threads would wait for each other start fewer."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // len(specs))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFolders:
    """Files stay whole, and the folders that share a service or a browser."""
    return WholeFolders(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for this process, with a template database built by the migrations."""
    with EmbeddedPostgres.temporary() as server:
        _administer(server, f"CREATE DATABASE {_TEMPLATE}")
        upgrade(server.url_of(_TEMPLATE))
        _draw_nothing(server.url_of(_TEMPLATE))
        yield server


def _draw_nothing(database: str) -> None:
    """No study is drawn to be read blind unless a test says so: no test depends on a lot."""
    engine = create_engine(database, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO site_choices VALUES ('blind_share', '0', now(), 'the tests')"))


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """One Valkey for this process."""
    with EmbeddedValkey.temporary() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hashing a password takes no time in this process: a fifth of a second is right for a sign-in and would
    be minutes of a run. What passwords cost is tested with `passwords_as_served`.
    """
    cheap = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHash((cheap,)))
        yield


@pytest.fixture
def passwords_as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as the service hashes them."""
    monkeypatch.setattr(passwords, "_hasher", _AS_SERVED)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A FIRSTREAD_HOME of this test's own; settings are read anew."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("FIRSTREAD_") and name != "FIRSTREAD_SHARED"]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("FIRSTREAD_HOME", str(folder))
    settings.cache_clear()
    yield folder
    settings.cache_clear()


@pytest.fixture
def database(postgres: EmbeddedPostgres, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a fresh, migrated database that `transaction()` and child processes use."""
    name = f"test_{next(_numbers)}"
    _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    url = postgres.url_of(name)
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", url)
    settings.cache_clear()
    forget_engine()
    yield url
    forget_engine()
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def broker(valkey: EmbeddedValkey, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the emptied broker, which `app.queue` and child processes use."""
    Redis(unix_socket_path=str(valkey.socket)).flushall()
    monkeypatch.setenv("FIRSTREAD_BROKER_URL", valkey.url)
    settings.cache_clear()
    configure_from_settings()
    return valkey.url


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    """A session of the test's own; commit to let others see."""
    with transaction() as session:
        yield session


@pytest.fixture
def blobs(home: Path) -> Blobs:
    """The blob store of the test's home."""
    return Blobs(settings().blob_folder)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs; the test is skipped where it is absent."""
    folder = Path(os.environ.get("FIRSTREAD_SHARED") or _REPOSITORY.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(
            "needs the folder of real radiographs: set FIRSTREAD_SHARED to the folder that holds data/"
        )
    return folder


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    engine = create_engine(server.url_of("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
