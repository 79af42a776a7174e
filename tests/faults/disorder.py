"""What goes wrong, at random moments: processes die and freeze, the broker forgets, the disk is full."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from tests.faults.service import Service

_PARTS = {
    "web server": "app.cli web",
    "screening worker": "app.cli worker",
    "duty worker": "app.cli duty",
    "training worker": "app.cli trainer",
    "PostgreSQL": "postgres",
    "broker": "valkey",
    "decoder": "decoder_child",
    "DICOM listener": "app.cli dimse",
}
_SERVERS = ("PostgreSQL", "broker")
_BALLAST = "ballast"
_Harm = tuple[str, Callable[[], bool]]


class Disorder(threading.Thread):
    """Does one harm after another, about every `interval` seconds, until told to stop: every harm once in a
    random order, and again. Then all is well again but for what has to recover.
    """

    def __init__(self, service: Service, *, seed: int, interval: float) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._rng = random.Random(seed)
        self._interval = interval
        self._over = threading.Event()
        self._frozen: set[int] = set()
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()
        """How often each harm was done."""
        self.once_each = threading.Event()
        """Set when every harm has had its turn, and those that found nobody a second one."""
        self.last_kill: dict[str, float] = {}
        """When a process of each part was last killed, by the clock of the database's machine."""

    def run(self) -> None:
        deck = self._harms()
        while not self._over.is_set():
            missed = self._do(self._rng.sample(deck, len(deck)))
            self._do(missed)  # who was away, between two lives, is there again
            self.once_each.set()

    def _do(self, harms: list[_Harm]) -> list[_Harm]:
        """Those that found nobody to be done to."""
        missed = []
        for name, harm in harms:
            if self._over.wait(self._interval * self._rng.uniform(0.5, 1.5)):
                break
            if harm():
                self.done[name] += 1
            else:
                missed.append((name, harm))
        return missed

    def end(self) -> None:
        """No further harm is done, nothing is frozen, and the disk has room."""
        self._over.set()
        self.join()
        for pid in list(self._frozen):
            self._thaw(pid)
        self._make_room()

    def _harms(self) -> list[_Harm]:
        deadly = [part for part in _PARTS if part != "training worker"]
        freezing = [part for part in deadly if part != "decoder"]
        deck: list[_Harm] = [
            *((f"kill -9 {part}", lambda part=part: self._kill(part)) for part in deadly),
            ("kill -9 a database connection", lambda: self._kill("PostgreSQL", leader=False)),
            *((f"freeze {part}", lambda part=part: self._freeze(part)) for part in freezing),
            *[("FLUSHALL", self._flush)] * 2,
        ]
        if self._service.small_disk is not None:
            deck.append(("fill the disk", self._fill))
        return deck

    def _processes(self, part: str, *, leader: bool = True) -> list[psutil.Process]:
        """The processes of that part; of a server its first one, or with `leader` False only the others."""
        assert self._service.up.process is not None
        supervisor = self._service.up.process.pid
        found = []
        try:
            for process in psutil.Process(supervisor).children(recursive=True):
                try:
                    words, parent = " ".join(process.cmdline()), process.ppid()
                except psutil.Error:
                    continue
                if _PARTS[part] in words and (part not in _SERVERS or (parent == supervisor) == leader):
                    found.append(process)
        except psutil.Error:
            pass
        return found

    def _kill(self, part: str, *, leader: bool = True) -> bool:
        found = self._processes(part, leader=leader)
        if not found or not self._signal(self._rng.choice(found).pid, signal.SIGKILL):
            return False
        self.last_kill[part] = time.time()
        return True

    def _freeze(self, part: str) -> bool:
        found = self._processes(part)
        if not found:
            return False
        pid = self._rng.choice(found).pid
        with self._lock:
            self._frozen.add(pid)
        frozen = self._signal(pid, signal.SIGSTOP)
        # longer and shorter than a lease: a worker may wake to find its studies read by nobody else
        threading.Timer(self._rng.uniform(0.5, 5.0), self._thaw, [pid]).start()
        return frozen

    def _thaw(self, pid: int) -> None:
        self._signal(pid, signal.SIGCONT)
        with self._lock:
            self._frozen.discard(pid)

    def _flush(self) -> bool:
        address = self._service.addresses()["broker_url"].removeprefix("redis+socket://").partition("?")[0]
        try:
            broker = Redis(unix_socket_path=address, socket_timeout=3, socket_connect_timeout=3)
            return bool(broker.flushall())
        except (RedisError, OSError):  # it is dead or frozen itself
            return False

    def _fill(self) -> bool:
        """Not a byte is free for some seconds: blobs, database, broker and logs share the disk."""
        assert self._service.small_disk is not None
        try:
            with (self._service.small_disk / _BALLAST).open("wb", buffering=0) as ballast:
                for size in (1 << 20, 1 << 12):
                    try:
                        while ballast.write(b"\0" * size) == size:
                            pass
                    except OSError:  # full, to within this size
                        continue
            deadline = time.monotonic() + self._rng.uniform(1.0, 4.0)
            while time.monotonic() < deadline and not self._over.is_set():
                time.sleep(0.05)
        finally:
            self._make_room()
        return True

    def _make_room(self) -> None:
        if self._service.small_disk is not None:
            Path(self._service.small_disk / _BALLAST).unlink(missing_ok=True)

    def _signal(self, pid: int, what: signal.Signals) -> bool:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            return False
        return True
