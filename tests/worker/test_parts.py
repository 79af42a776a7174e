"""The parts of a worker process: each is built once, however many threads need it first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from worker import deliver, parts
from worker.deliver import Courier


def test_threads_that_need_the_courier_at_once_get_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    class SlowCourier(Courier):
        def __init__(self, *given: Any) -> None:
            time.sleep(0.05)  # each of the other threads comes to it meanwhile
            super().__init__(*given)
            built.append(self)

    monkeypatch.setattr(deliver, "Courier", SlowCourier)
    monkeypatch.setattr(parts.courier, "_built", None)
    together = threading.Barrier(8)

    def needed(_: int) -> Courier:
        together.wait(timeout=10)
        return parts.courier()

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(needed, range(8)))
    assert len(built) == 1
    assert {id(one) for one in got} == {id(built[0])}


def test_a_part_that_could_not_be_built_is_built_when_it_is_needed_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(parts.courier, "_built", None)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(deliver, "Courier", broken)
        with pytest.raises(OSError, match="no room"):
            parts.courier()
    assert not parts.courier.is_built
    assert isinstance(parts.courier(), Courier)
