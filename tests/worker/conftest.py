"""Real workers: decoders and the shipped network in this process, or Celery in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import RLELossless

from app.blobs import Blobs
from app.dicom.decoder_pool import DecoderPool
from app.settings import settings
from models.bundle import Bundle, default_bundle_path
from tests.builders import a_dicom
from tests.told_everywhere import listen
from worker.network import Network, NetworkUnavailable
from worker.recorder import Recorder
from worker.screen import ImageScreened, NetworkBroke
from worker.screener import Screener

listen(ImageScreened, "reason", "notices")
listen(NetworkUnavailable, "args")
listen(NetworkBroke, "args")


@pytest.fixture(scope="session")
def pool() -> Iterator[DecoderPool]:
    """Two decoder children for the run."""
    with DecoderPool(processes=2, seconds=20, memory_bytes=2**30) as pool:
        yield pool


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The shipped bundle, loaded."""
    return Bundle.load(default_bundle_path(), device="cpu")


def anyone_known(bundle: Bundle) -> Bundle:
    """The bundle without its distance and its gate: drawings are strangers to the shipped one, as they should
    be.
    """
    knowing = replace(bundle.manifest, familiarity={}, appearance={})
    return Bundle(knowing, bundle._runtime, research=False)


@pytest.fixture
def loaded_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped bundle is loaded once for the run, wherever its bytes lie; any other is really loaded."""
    load = Bundle.load
    shipped = default_bundle_path().read_bytes()

    def remember(path: Path, **how: Any) -> Bundle:
        return bundle if path.read_bytes() == shipped else load(path, **how)

    monkeypatch.setattr(Bundle, "load", remember)


@pytest.fixture
def rung() -> list[str]:
    """Ids of the deliveries that were rung for."""
    return []


@pytest.fixture
def stop() -> threading.Event:
    """Set it and the worker must end."""
    return threading.Event()


@pytest.fixture
def make_screener(
    database: str,
    blobs: Blobs,
    pool: DecoderPool,
    loaded_once: None,
    rung: list[str],
    stop: threading.Event,
) -> Iterator[Callable[[], Screener]]:
    """Screeners by the settings of the moment, each with a network of its own."""
    made: list[Screener] = []

    def make() -> Screener:
        configuration = settings()
        made.append(
            Screener(
                blobs=blobs,
                pool=pool,
                network=Network(blobs, device="cpu", configured=configuration.bundle),
                recorder=Recorder(configuration, ring=lambda ids: rung.extend(str(id_) for id_ in ids)),
                configuration=configuration,
                stop=stop,
            ),
        )
        return made[-1]

    yield make
    for screener in made:
        screener.close()


@pytest.fixture
def screener(make_screener: Callable[[], Screener]) -> Screener:
    """One of them."""
    return make_screener()


@pytest.fixture
def configure(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets FIRSTREAD_ variables, for this process and those it starts."""

    def set_(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FIRSTREAD_{name.upper()}", str(value))
        settings.cache_clear()

    return set_


StartWorker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(database: str, broker: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts Celery workers as an operator does; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, queue: str = "screening", threads: int = 1) -> subprocess.Popen[bytes]:
        number = len(started)
        log = (tmp_path / f"worker-{number}.log").open("wb")
        words = f"-A worker.main worker -Q {queue} -P threads -c {threads} -n {queue}-{number}@test"
        command = [sys.executable, "-m", "celery", *words.split(), "--without-gossip", "--without-mingle"]
        worker = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ.copy(),
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )
        log.close()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def until(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Returns once the condition holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(0.02)


def a_broken_dicom() -> bytes:
    """A file whose header can be read and whose pixels cannot."""
    data = bytearray(a_dicom(transfer_syntax=RLELossless))
    data[-2000:-10] = bytes(1990)
    data[1500:-10] = bytes(len(data) - 1510)
    return bytes(data)
