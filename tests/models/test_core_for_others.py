"""A training leaves a core to others while they are at work, and not longer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from models.core_for_others import CoreForOthers, taken_by_others
from models.examples import DatasetRefused
from models.judge import Report
from models.train import TrainingOrder
from tests.models.conftest import write_manifest
from tests.models.some_steps import trained
from worker.learning import train as job
from worker.learning.child import Refused

CALM, AT_WORK = 0.03, 0.5


class Machine:
    """What others have taken of it, as the test tells."""

    def __init__(self, load: float = CALM, *, step: float = 0.0) -> None:
        self.now, self.theirs, self.load, self.step = 100.0, 1000.0, load, step

    def pass_seconds(self, seconds: float, load: float) -> None:
        self.now, self.theirs = self.now + seconds, self.theirs + seconds * load

    def taken(self) -> tuple[float, float]:
        self.pass_seconds(self.step, self.load)
        return self.now, self.theirs


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("threads", "left"), [(4, 3), (2, 1), (1, 1)])
def test_one_core_is_left_while_others_work_and_for_a_minute_after(threads: int, left: int) -> None:
    machine = Machine()
    core = CoreForOthers(threads, taken=machine.taken)
    told = []
    for seconds, load in ((2, CALM), (2, AT_WORK), (2, CALM), (57, CALM), (2, CALM)):
        machine.pass_seconds(seconds, load)
        core.settle()
        told.append(torch.get_num_threads())
    assert told == [threads, left, left, left, threads]


def test_what_passes_between_two_quick_steps_is_judged_together() -> None:
    machine = Machine()
    core = CoreForOthers(2, taken=machine.taken)
    torch.set_num_threads(2)
    told = []
    for load in (1.0, 0.0, 0.0):  # one tick of the system's clock is no work
        machine.pass_seconds(0.4, load * 0.15)
        core.settle()
        told.append(torch.get_num_threads())
    assert told == [2, 2, 2]
    for _ in range(3):
        machine.pass_seconds(0.4, AT_WORK)
        core.settle()
    assert torch.get_num_threads() == 1


def test_the_work_of_another_process_is_counted() -> None:
    spin = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    before = taken_by_others()
    subprocess.run([sys.executable, "-S", "-c", spin], check=True)
    after = taken_by_others()
    assert after[0] - before[0] >= 0.5
    assert after[1] - before[1] >= 0.45, "counted in hundredths of seconds, of each kind of time"


def test_the_trainings_own_work_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    everybodys = taken_by_others()[1]
    monkeypatch.setattr(time, "process_time", lambda: everybodys)
    assert taken_by_others()[1] < everybodys / 2


def test_fine_tuning_has_so_many_threads_from_step_to_step(tmp_path: Path) -> None:
    machine = Machine(AT_WORK, step=2.0)
    seen = set()
    core = CoreForOthers(2, taken=machine.taken)
    trained(tmp_path, report=core.settled_before(lambda *_: seen.add(torch.get_num_threads())))
    assert seen == {1}


def test_a_sites_training_leaves_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def steps(order: TrainingOrder, *, report: Report, **_: object) -> NoReturn:
        for done in range(2):
            report("Fine-tuning", done, 2)
            seen.append((order.threads, torch.get_num_threads()))
        raise DatasetRefused("enough")

    machine = Machine(AT_WORK, step=2.0)
    monkeypatch.setattr(job, "CoreForOthers", partial(CoreForOthers, taken=machine.taken))
    monkeypatch.setattr(job, "train", steps)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    order = {
        "manifest": str(write_manifest(tmp_path / "m.csv", [{"path": "a.png", "label": "one"}])),
        "out": str(tmp_path / "candidate.bundle"),
        "features": str(tmp_path / "features"),
        "mode": "thorough",
        "seed": 7,
        "budget_minutes": None,
        "start": None,
        "name": "a",
        "version": "1",
        "intended_use": None,
        "data_statement": "drawn",
        "decoder_seconds": 30.0,
        "decoder_memory": 2**31,
    }
    with pytest.raises(Refused, match="enough"):
        job.run(order, report=lambda *_: None, tell=lambda **_: None)
    assert seen == [(3, 2), (3, 2)]
