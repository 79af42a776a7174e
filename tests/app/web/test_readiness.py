"""However many ask whether the service is ready, it looks once a second, and says soon what broke."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.records.engine import forget_engine
from app.settings import settings
from app.web import readiness
from tests.served import eventually


class Disk:
    """Counts what is written through to the disk, and halts it while `works` is not set."""

    def __init__(self) -> None:
        self.written = 0
        self.at_once = self.most_at_once = 0
        self.works = threading.Event()
        self.works.set()
        self._sync = os.fsync
        self._lock = threading.Lock()

    def fsync(self, file: int) -> None:
        with self._lock:
            self.written += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.works.wait(30)
        self._sync(file)
        with self._lock:
            self.at_once -= 1


@pytest.fixture
def disk(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of the running application."""
    disk = Disk()
    monkeypatch.setattr("app.blobs.os.fsync", disk.fsync)
    return disk


def test_a_crowd_that_asks_has_the_disk_written_to_once_a_second(client: TestClient, disk: Disk) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get("/readyz").status_code, range(200)))
    assert answers == [200] * 200
    assert 1 <= disk.written <= 1 + (time.monotonic() - began) / readiness.GOOD_FOR_SECONDS
    assert disk.most_at_once == 1


def test_what_breaks_is_said_within_the_second_and_when_to_come_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").status_code == 200
    incoming = Path(settings().blob_folder) / "incoming"
    shutil.rmtree(incoming)
    incoming.write_text("no folder")
    broken = time.monotonic()
    while (answer := client.get("/readyz")).status_code == 200:
        assert time.monotonic() - broken < readiness.GOOD_FOR_SECONDS + 1.0
    assert answer.json() == {
        "ready": False,
        "database": "ok",
        "disk": "the folder of the stored bytes cannot be written",
        "broker": "ok",
        "screening": "ok",
    }
    assert int(answer.headers["Retry-After"]) > 0
    incoming.unlink()
    incoming.mkdir()
    eventually(lambda: client.get("/readyz").status_code == 200, seconds=readiness.GOOD_FOR_SECONDS + 1.0)
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    forget_engine()
    eventually(lambda: client.get("/readyz").status_code == 503, seconds=readiness.GOOD_FOR_SECONDS + 1.0)
    answer = client.get("/readyz")
    assert (answer.json()["database"], answer.json()["disk"]) == ("the database does not answer", "ok")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_disk_that_hangs_is_said_to_and_holds_one_thread_however_many_ask(
    client: TestClient, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 2.0)
    disk.works.clear()
    threads = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/readyz"), range(64)))
        assert threading.active_count() <= threads + 8 + 3  # who asks, and a look at each part
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["disk"] for answer in answers} == {"the folder of the stored bytes does not answer"}
    assert {answer.json()["database"] for answer in answers} == {"ok"}
    assert disk.written == 1
    disk.works.set()
    eventually(lambda: client.get("/readyz").status_code == 200, seconds=5)
