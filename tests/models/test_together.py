"""Several processes train one network: to the same weights as one, and none is left when another ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from models.ranks import Ranks
from models.together import BrokeOff
from tests.models.some_steps import MORE, start, trained

ROOT = Path(__file__).parents[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
    return found


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The length of the difference of two sets of weights."""
    return sum(float((one[name] - other[name]).square().sum()) for name in one if "." in name) ** 0.5


def processes(folder: Path) -> list[int]:
    """Those that train together with what lies in the folder, without their launcher."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if str(folder / "together") in line and "torch.distributed.run" not in line:
            found.append(int(entry.name))
    return sorted(found)


def epochs(told: list[dict[str, Any]]) -> list[int]:
    return [event["epoch"] for event in told if event["event"] == "epoch"]


def none_is_left(folder: Path) -> bool:
    until = time.monotonic() + 30
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.1)
    return not processes(folder)


@pytest.mark.timeout(300)
def test_two_processes_come_to_the_weights_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several, alone = tmp_path / "several", tmp_path / "alone"
    several.mkdir()
    alone.mkdir()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    subprocess.run(
        [*launcher, "--nproc-per-node=2", "-m", "tests.models.some_steps", str(several)],
        check=True,
        cwd=ROOT,
    )
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    trained(alone, ranks=Ranks(device=torch.device("cpu")))
    moved = apart(weights(alone), start().state_dict())
    assert apart(weights(several), weights(alone)) < 0.005 * moved


@pytest.mark.timeout(300)
def test_what_a_kill_left_goes_on_with_two_processes_and_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = [sys.executable, "-m", "tests.models.some_steps", str(tmp_path), "asking"]
    with subprocess.Popen(asking, cwd=ROOT, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        assert next(line for line in asker.stdout if '"epoch": 1' in line)
        assert len(processes(tmp_path)) == 2
        asker.kill()
    assert none_is_left(tmp_path)

    told: list[dict[str, Any]] = []

    def log(**event: Any) -> None:
        told.append(event)
        if event["event"] == "epoch" and len(epochs(told)) == 1:
            os.kill(processes(tmp_path)[-1], signal.SIGKILL)

    monkeypatch.chdir(ROOT)
    with pytest.raises(BrokeOff, match="One of the 2 processes that train together ended before its time"):
        trained(tmp_path, log=log, epochs=MORE, processes=2, threads=2)
    assert epochs(told)[0] > 1
    assert "start" not in [event["event"] for event in told]
    assert none_is_left(tmp_path)

    # Between a checkpoint and what is told of it somebody may be killed.
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"]
    assert kept in (epochs(told)[-1], epochs(told)[-1] + 1)
    told.clear()
    trained(tmp_path, log=lambda **event: told.append(event), epochs=kept + 1, ranks=Ranks())
    assert epochs(told) == [kept + 1]
