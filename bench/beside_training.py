"""What a training costs screening on the same machine: latency and throughput with one at work and without.

    .venv/bin/python -m bench.beside_training DATA [--rounds 8] [--images 30] [--queued 60]

A FirstRead of the bench's own reads full-size JPEGs while the training worker's child learns from DATA, first
computing features, then fine-tuning. The child is one process throughout; for the rounds without it, it is
stopped (SIGSTOP), so that both kinds of round take turns on the same machine in the same minutes.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from bench.pictures import fresh_jpegs, originals
from bench.reading_latency import idle, under_load
from bench.service import Service, running_service
from models.bundle import default_bundle_path

_STAGES = ("Features", "Fine-tuning")
_ENDED = "ended"
_MOST = 1.2
"""Screening may take so many times as long beside a training."""


class Training:
    """The child of a thorough training job; as the training worker starts it."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.stage = ""
        self._changed = threading.Condition()
        order = {
            "run": "worker.learning.train",
            "folder": str(folder),
            "attempt": 1,
            "manifest": str(data / "manifest.csv" if data.is_dir() else data),
            "out": str(folder / "candidate.bundle"),
            "mode": "thorough",
            "seed": 7,
            "budget_minutes": None,
            "start": str(default_bundle_path()),
            "features": str(folder / "features"),
            "name": "bench",
            "version": "1",
            "intended_use": None,
            "data_statement": "bench",
            "decoder_seconds": 60.0,
            "decoder_memory": 2**31,
        }
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.learning.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order))
        self._child.stdin.close()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._child.stdout or ():
            said = json.loads(line)
            if "refused" in said:
                print(said["refused"], file=sys.stderr)
            with self._changed:
                self.stage = said.get("progress", {}).get("stage", self.stage)
                self._changed.notify_all()
        with self._changed:
            self.stage = _ENDED
            self._changed.notify_all()

    def await_stage(self, stage: str) -> None:
        """Returns once it is at the stage, at work."""
        self.go_on()
        with self._changed:
            come = self._changed.wait_for(lambda: self.stage in (stage, _ENDED), timeout=1800)
        if not come or self.stage == _ENDED:
            raise RuntimeError(f"the training did not come to {stage}")

    def pause(self) -> None:
        """It does nothing until it goes on."""
        self._child.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It is at work."""
        self._child.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """It is gone."""
        self._child.kill()
        self._child.wait()


@contextmanager
def training(data: Path) -> Iterator[Training]:
    """One that is gone with its folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="firstread-bench-") as folder:
        at_work = Training(data, Path(folder))
        try:
            yield at_work
        finally:
            at_work.end()


def measure(
    service: Service, at_work: Training, fresh: Iterator[bytes], *, stage: str, options: argparse.Namespace
) -> bool:
    """Prints the table of a stage; True where the training cost no more than it may."""
    at_work.await_stage(stage)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * options.rounds):
        beside = number % 2 == 1
        if beside:
            at_work.go_on()
        else:
            at_work.pause()
        seconds[beside] += idle(service, list(islice(fresh, options.images)))
        rates[beside].append(under_load(service, list(islice(fresh, options.queued)), [])[2])
        if beside and at_work.stage != stage:
            print(f"{stage} ended after {number // 2 + 1} rounds: give more data or fewer rounds.")
            break
    for name, beside in (("without", False), (f"beside {stage.lower()}", True)):
        p50, p95 = np.percentile(seconds[beside], [50, 95]) * 1000
        rate = float(np.median(rates[beside]))
        print(f"{name:<24} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   {rate:6.1f} readings/s", flush=True)
    slower = [float(np.percentile(seconds[True], at) / np.percentile(seconds[False], at)) for at in (50, 95)]
    fewer = float(np.median(rates[False]) / np.median(rates[True]))
    print(f"{'ratio':<24} p50 {slower[0]:7.2f}      p95 {slower[1]:7.2f}      {fewer:6.2f} times as long")
    return max(slower[0], fewer) <= _MOST


def main() -> int:
    """1 where the median latency or the time for a full queue is more than a fifth longer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--queued", type=int, default=60)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service() as service,
        training(options.data) as beside,
    ):
        fresh = fresh_jpegs(originals(Path(folder)))
        idle(service, list(islice(fresh, 3)))
        kept = [measure(service, beside, fresh, stage=stage, options=options) for stage in _STAGES]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
