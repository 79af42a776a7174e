"""The bell: one pull rings for all who came while another was ringing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import queue


def test_who_comes_while_another_rings_is_rung_for_afterwards(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulls: list[set[str]] = []
    rings = threading.Event()

    def slow(_task: str, ids: set[str]) -> None:
        rings.set()
        time.sleep(0.3)
        pulls.append(set(ids))

    monkeypatch.setattr(queue, "_ring", slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(queue.ring, queue.SCREEN, "first")
        assert rings.wait(10)
        others = [pool.submit(queue.ring, queue.SCREEN, f"other {number}") for number in range(6)]
        for ringing in (first, *others):
            ringing.result(10)
    assert pulls[0] == {"first"}
    assert set().union(*pulls[1:]) == {f"other {number}" for number in range(6)}
    assert len(pulls) < 5


def test_a_bell_that_nobody_heard_is_not_rung_more_than_a_few_times(broker: str) -> None:
    for number in range(20):
        queue.ring(queue.SCREEN, str(number))
    assert queue.waiting(queue.SCREENING_QUEUE) == 4


def test_a_silent_broker_holds_nobody_up_for_long(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def silent(task: str, _ids: set[str]) -> None:
        calls.append(task)
        queue._silence.until = time.monotonic() + 60

    monkeypatch.setattr(queue, "_ring", silent)
    monkeypatch.setattr(queue._silence, "until", 0.0)
    with ThreadPoolExecutor(8) as pool:
        for ringing in [pool.submit(queue.ring, queue.SCREEN, str(number)) for number in range(30)]:
            ringing.result(10)
    assert calls == [queue.SCREEN]
