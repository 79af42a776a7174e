"""Many senders and many readers at once, for long: what they wait, what is refused, and what memory grows by.

    .venv/bin/python -m bench.soak [--minutes 10] [--senders 200] [--readers 50]

The service that `make run` starts, and all clients, on this one machine. A sender posts one radiograph after
another, each as soon as the one before is accepted, and comes back after Retry-After where it is told to. A
reader holds a live stream open and loads the worklist and a study in turn, resting between them. The first
fifth is for warming up; growth is the slope of each role's memory after it (PSS, without PostgreSQL's shared
buffers, which fill once to the size that is set).

Ends with 1 where anything but 429 and 503 went wrong, where a refusal did not succeed on trying again, or
where memory grew by more than `--growth` megabytes an hour.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bench.memory import megabytes_of_its_own
from bench.pictures import fresh_jpegs, originals
from bench.service import Service, rest_body, running_service

_PAUSE = (0.5, 2.0)
"""Seconds a reader rests between pages."""
_TRIES = 20
_GROWN_MB_AN_HOUR = 120.0


@dataclass
class Heard:
    """What the clients met, by what they did."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, float] = field(default_factory=dict)
    """When each study was accepted, by `time.monotonic()`, which all processes of a machine share."""
    events: int = 0

    def waited(self, what: str, seconds: float) -> None:
        self.seconds.setdefault(what, []).append(seconds)


def main() -> int:
    """Prints the tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, running_service() as service:
        pictures = originals(Path(folder))
        # Readers wait for the service, not for the senders' interpreter: each crowd is a process of its own.
        with ExitStack() as crowds:
            heard = [
                crowds.enter_context(_crowd(_send, options.senders, service, pictures)),
                crowds.enter_context(_crowd(_read, options.readers, service, pictures)),
                crowds.enter_context(_crowd(_listen, options.readers, service, pictures)),
            ]
            sizes = _sizes(service, seconds=60 * options.minutes)
        met = _together(heard)
        backlog = [study for study in met.accepted if study not in service.screened]
        ended = time.monotonic()
        service.await_screened(list(met.accepted), seconds=3600)
        drained = time.monotonic() - ended
        met.seconds["to a reading"] = [service.screened[study] - at for study, at in met.accepted.items()]
    grown = _report(met, sizes, options, backlog=len(backlog), drained=drained)
    return 1 if met.wrong or any(rate > options.growth for rate in grown.values()) else 0


@contextmanager
def _crowd(
    act: Callable[..., None], count: int, service: Service, pictures: list[Path]
) -> Iterator[list[Heard]]:
    """So many clients act, in a process of their own, until the block ends; then what they met is told."""
    spawn = multiprocessing.get_context("spawn")
    stop, answer = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=_act, args=(act, count, service.url, service.key, pictures, stop, answer))
    process.start()
    heard: list[Heard] = []
    yield heard
    stop.set()
    heard.append(answer.get(timeout=300))
    process.join()


def _act(
    act: Callable[..., None], count: int, url: str, key: str, pictures: list[Path], stop: Any, answer: Any
) -> None:
    heard, fresh, taking = Heard(), fresh_jpegs(pictures), threading.Lock()

    def body() -> tuple[bytes, str]:
        with taking:
            return rest_body(next(fresh))

    clients = [
        threading.Thread(target=_told, args=(act, _Client(url, key), body, heard, stop), daemon=True)
        for _ in range(count)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(timeout=240)
    answer.put(heard)


def _together(heard: list[list[Heard]]) -> Heard:
    met = Heard()
    for crowd in (crowd for crowds in heard for crowd in crowds):
        met.seconds |= crowd.seconds
        met.refused += crowd.refused
        met.wrong += crowd.wrong
        met.accepted |= crowd.accepted
        met.events += crowd.events
    return met


def _sizes(service: Service, *, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """PSS in MB of each role without shared segments, every two seconds."""
    began = time.monotonic()
    sizes: dict[str, list[tuple[float, float]]] = defaultdict(list)
    while (at := time.monotonic() - began) < seconds:
        now: Counter[str] = Counter()
        for pid, role in service.processes().items():
            try:
                now[role] += megabytes_of_its_own(pid)
            except OSError:  # it ended meanwhile
                continue
        for role, size in now.items():
            sizes[role].append((at, size))
        print(f"\r{at:4.0f} of {seconds:.0f} s", end="", file=sys.stderr, flush=True)
        time.sleep(2)
    return sizes


class _Client:
    """One kept connection, opened anew where it broke."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self.headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}

    def rest(self, seconds: float) -> None:
        """A server closes what rests for long, and is not found out by a request that fails."""
        self.connection.close()
        time.sleep(seconds)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, float, bytes]:
        """Status, seconds to wait before trying again, and the answer. Raises OSError and HTTPException."""
        try:
            self.connection.request(method, path, body, self.headers | headers)
            answer = self.connection.getresponse()
            return answer.status, float(answer.headers.get("Retry-After", "1")), answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise


def _send(client: _Client, fresh: Callable[[], tuple[bytes, str]], heard: Heard, stop: Any) -> None:
    draw = random.Random()
    while not stop.is_set():
        body, kind = fresh()
        first = time.monotonic()
        for _ in range(_TRIES):
            asked = time.monotonic()
            try:
                status, pause, answer = client.ask("POST", "/api/v1/studies", body, **{"Content-Type": kind})
            except (OSError, http.client.HTTPException) as error:
                heard.wrong[f"posting: {type(error).__name__}"] += 1
                break
            heard.waited("one answer to a post", time.monotonic() - asked)
            if status == 202:
                heard.waited("until a post is accepted", time.monotonic() - first)
                study = json.loads(answer)["studies"][0]["id"]
                heard.accepted[study] = time.monotonic()
                break
            if status not in (429, 503):
                heard.wrong[f"posting: {status}"] += 1
                break
            heard.refused[f"posting: {status}"] += 1
            client.rest(pause * draw.uniform(1, 1.5))
        else:
            heard.wrong["posting: refused every time"] += 1


def _read(client: _Client, _fresh: object, heard: Heard, stop: Any) -> None:
    draw, studies = random.Random(), ["-"]
    while not stop.wait(draw.uniform(*_PAUSE)):
        study = draw.choice(studies) if draw.random() < 0.5 else "-"
        what = "the worklist" if study == "-" else "one study"
        asked = time.monotonic()
        try:
            status, pause, answer = client.ask(
                "GET", "/api/v1/worklist" if study == "-" else f"/api/v1/studies/{study}"
            )
        except (OSError, http.client.HTTPException) as error:
            heard.wrong[f"{what}: {type(error).__name__}"] += 1
            continue
        heard.waited(what, time.monotonic() - asked)
        if status in (429, 503):
            heard.refused[f"{what}: {status}"] += 1
            client.rest(pause)
        elif status != 200:
            heard.wrong[f"{what}: {status}"] += 1
        elif study == "-":
            studies = [row["id"] for row in json.loads(answer)["studies"]] or ["-"]


def _told(act: Callable[..., None], client: _Client, fresh: object, heard: Heard, stop: Any) -> None:
    try:
        act(client, fresh, heard, stop)
    except Exception as error:  # noqa: BLE001 - a client that died must not pass for a quiet one
        heard.wrong[f"a client: {type(error).__name__}"] += 1


def _listen(client: _Client, _fresh: object, heard: Heard, stop: Any) -> None:
    try:
        client.connection.request(
            "GET", "/api/v1/events", headers=client.headers | {"Accept": "text/event-stream"}
        )
        answer = client.connection.getresponse()
        if answer.status != 200:
            heard.wrong[f"live stream: {answer.status}"] += 1
            return
        while not stop.is_set() and answer.readline():
            heard.events += 1
        if not stop.is_set():
            heard.wrong["live stream: ended"] += 1
    except (OSError, http.client.HTTPException) as error:
        heard.wrong[f"live stream: {type(error).__name__}"] += 1


def _report(
    heard: Heard,
    sizes: dict[str, list[tuple[float, float]]],
    options: argparse.Namespace,
    *,
    backlog: int,
    drained: float,
) -> dict[str, float]:
    """Prints the tables; megabytes an hour by which each role grew."""
    print(f"\n{options.senders} senders, {options.readers} readers, {options.minutes:g} minutes")
    rate = len(heard.accepted) / options.minutes / 60
    print(f"  accepted {len(heard.accepted)}, {rate:.1f} a second; {heard.events} lines of live streams")
    print(f"  {backlog} had no reading at the end; the last of them had it {drained:.0f} s later")
    print(f"  refused and tried again: {dict(heard.refused) or 'none'}")
    print(f"  wrong: {dict(heard.wrong) or 'nothing'}")
    print(f"{'seconds':<28} {'times':>7} {'p50':>8} {'p95':>8} {'p99':>8} {'most':>8}")
    for what, waits in heard.seconds.items():
        p50, p95, p99, most = np.percentile(waits, [50, 95, 99, 100])
        print(f"  {what:<26} {len(waits):7d} {p50:8.3f} {p95:8.3f} {p99:8.3f} {most:8.3f}")
    print(f"{'PSS in MB':<28} {'then':>8} {'at last':>8}   {'an hour':>8}")
    grown = {}
    for role, found in sorted(sizes.items()):
        at, size = np.array(found[len(found) // 5 :]).T
        if len(at) < 10:
            continue
        grown[role] = float(np.polyfit(at, size, 1)[0]) * 3600
        print(f"  {role:<26} {size[0]:8.1f} {size[-1]:8.1f}   {grown[role]:+8.1f}")
    return grown


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--growth", type=float, default=_GROWN_MB_AN_HOUR, help="megabytes an hour")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
