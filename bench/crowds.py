"""Crowds of clients, each in a process of its own: what they do, and what they meet."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.pictures import fresh_jpegs
from bench.service import Service, rest_body

_PATIENCE = 240.0
"""Seconds after which one who is refused again and again was not served."""
_TIMEOUT = 120.0
_KEPT = 2.0
"""Seconds after which a client opens its connection anew: a server closes what rests for five."""
POST = "one answer to a post"


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


@contextmanager
def crowd(
    act: Callable[..., None], who: list[dict[str, str]], service: Service, pictures: list[Path]
) -> Iterator[list[Heard]]:
    """A client for each of these headers, which say who it is, acts in a process of their own until the block
    ends; then what they met is told.
    """
    spawn = multiprocessing.get_context("spawn")
    begun, stop, answer = spawn.Event(), spawn.Event(), spawn.Queue()
    words = (act, who, service.url, pictures, begun, stop, answer)
    process = spawn.Process(target=_act, args=words, daemon=True)
    process.start()
    heard: list[Heard] = []
    try:
        if not begun.wait(_TIMEOUT):
            raise RuntimeError("a crowd of clients did not begin")
        yield heard
        stop.set()
        heard.append(answer.get(timeout=2 * (_PATIENCE + _TIMEOUT)))
    finally:
        process.terminate()
        process.join()


def _act(
    act: Callable[..., None],
    who: list[dict[str, str]],
    url: str,
    pictures: list[Path],
    begun: Any,
    stop: Any,
    answer: Any,
) -> None:
    heard, fresh, taking = Heard(), fresh_jpegs(pictures), threading.Lock()

    def body() -> tuple[bytes, str]:
        with taking:
            return rest_body(next(fresh))

    clients = [
        threading.Thread(target=_told, args=(act, Client(url, headers), body, heard, stop), daemon=True)
        for headers in who
    ]
    for client in clients:
        client.start()
    begun.set()
    parent = multiprocessing.parent_process()
    while not stop.wait(1):
        if parent is not None and not parent.is_alive():  # nobody is left to tell
            return
    end = time.monotonic() + _PATIENCE + _TIMEOUT
    for client in clients:
        client.join(timeout=max(0.0, end - time.monotonic()))
    if late := sum(client.is_alive() for client in clients):
        heard.wrong["a client: never came to an end"] += late
    answer.put(heard)


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str | None
    location: str | None
    body: bytes


class Client:
    """One kept connection, opened anew where it broke or rested."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        self.headers = headers
        self._draw = random.Random()
        self._used = 0.0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> _Answer:
        """Raises OSError and HTTPException."""
        if time.monotonic() - self._used > _KEPT:
            self.connection.close()
        try:
            self.connection.request(method, path, body, self.headers | headers)
            answer = self.connection.getresponse()
            said = answer.headers
            return _Answer(answer.status, said.get("Retry-After"), said.get("Location"), answer.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        finally:
            self._used = time.monotonic()

    def until_served(
        self, heard: Heard, what: str, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> _Answer | None:
        """Asks again where it is refused for now; None where that, or the connection, went wrong."""
        first = time.monotonic()
        while (asked := time.monotonic()) - first < _PATIENCE:
            try:
                answer = self.ask(method, path, body, **headers)
            except (OSError, http.client.HTTPException) as error:
                heard.wrong[f"{what}: {type(error).__name__}"] += 1
                return None
            heard.waited(what, time.monotonic() - asked)
            if answer.status not in (429, 503):
                return answer
            heard.refused[f"{what}: {answer.status}"] += 1
            if not (answer.retry_after or "").isdecimal():
                heard.wrong[f"{what}: {answer.status} without Retry-After"] += 1
                return None
            time.sleep(int(answer.retry_after or "1") * self._draw.uniform(1, 1.5))
        heard.wrong[f"{what}: refused for {_PATIENCE:.0f} s"] += 1
        return None


def send(client: Client, fresh: Callable[[], tuple[bytes, str]], heard: Heard, stop: Any) -> None:
    """One radiograph after another, each as soon as the one before is accepted."""
    while not stop.is_set():
        body, kind = fresh()
        first = time.monotonic()
        answer = client.until_served(heard, POST, "POST", "/api/v1/studies", body, **{"Content-Type": kind})
        if answer is not None and answer.status == 202:
            heard.waited("until a post is accepted", time.monotonic() - first)
            heard.accepted[json.loads(answer.body)["studies"][0]["id"]] = time.monotonic()
            continue
        if answer is not None:
            heard.wrong[f"{POST}: {answer.status}"] += 1
        stop.wait(1)


def _told(act: Callable[..., None], client: Client, fresh: object, heard: Heard, stop: Any) -> None:
    try:
        act(client, fresh, heard, stop)
    except Exception as error:  # noqa: BLE001 - a client that died must not pass for a quiet one
        heard.wrong[f"a client: {type(error).__name__}"] += 1


def listen(client: Client, _fresh: object, heard: Heard, stop: Any) -> None:
    """A live stream, which the service must not end."""
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
