"""Fine-tuning by several processes, one for each GPU, which torch's own launcher begins and ends together.

The one that asks holds the data, the log and what follows; it hears what the first process says and lays the
rest in a folder. Whoever of them ends before its time ends all, and the checkpoint stays.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

from models.dataset import Labelled
from models.finetune import FinetuneSettings, Paused, finetune
from models.judge import Report
from models.network import Network
from models.ranks import Ranks
from models.sentence import sentence
from models.time_budget import TimeBudget

_TO_END = 10.0
"""Seconds that the launcher has to end the others."""


class BrokeOff(Exception):
    """One of the processes ended before its time; what was learnt by the last whole epoch is in the
    checkpoint.
    """


def processes_for(settings: FinetuneSettings) -> int:
    """One for each GPU that torch sees, and one where it sees none; never more than a batch has pictures."""
    return max(1, min(torch.cuda.device_count(), settings.batch))


def finetune_together(
    network: Network,
    data: Labelled,
    select: Labelled,
    *,
    processes: int,
    threads: int,
    settings: FinetuneSettings,
    seed: int,
    checkpoint: Path,
    log: Callable[..., None],
    twice: NDArray[np.bool_] | None = None,
    clock: TimeBudget | None = None,
    report: Report = lambda *_: None,
) -> Network:
    """What `models.finetune.finetune` gives, by so many processes, each of which takes its part of every
    batch: up to rounding the same weights. The ``threads`` are shared out among them.

    Raises `Paused` as that does, OSError where the first cannot write, and `BrokeOff` where one ended before
    its time. All of them end with this process, however it ends.
    """
    folder = checkpoint.parent / "together"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clock = clock or TimeBudget(settings.budget)
    clock.read(checkpoint)
    for name, labelled in (("data", data), ("select", select)):
        np.save(folder / f"{name}-images.npy", labelled.images)
        np.save(folder / f"{name}-labels.npy", labelled.labels)
    if twice is not None:
        np.save(folder / "twice.npy", twice)
    torch.save(network.state_dict(), folder / "start.pt")
    order = {
        "settings": asdict(settings),
        "seed": seed,
        "threads": max(1, threads // processes),
        "findings": list(data.findings),
        "checkpoint": str(checkpoint),
        "clock": clock.state(),
    }
    (folder / "order.json").write_text(json.dumps(order))
    try:
        _launched(folder, processes, log=log, report=report)
        state = torch.load(folder / "finished.pt", weights_only=True, map_location="cpu")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    network.load_state_dict(state)
    return network.to("cpu").eval()


def _launched(folder: Path, processes: int, *, log: Callable[..., None], report: Report) -> None:
    """Until all have ended; what went wrong is raised."""
    launcher = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--no-python"]
    launcher += [f"--nproc-per-node={processes}", "--local-addr=127.0.0.1"]
    with (folder.parent / "together.log").open("ab") as errors:
        running = subprocess.Popen(
            [*launcher, sys.executable, "-P", "-m", "models.together", str(folder)],
            stdin=subprocess.PIPE,  # never written to: that it ends tells them that this process has
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert running.stdin is not None and running.stdout is not None
    last: dict[str, Any] = {}
    try:
        for line in running.stdout:
            said = json.loads(line)
            if "log" in said:
                log(**said["log"])
            elif "report" in said:
                report(*said["report"])
            else:
                last = said
        running.wait()
    finally:
        _end(running)
    if "paused" in last:
        raise Paused(last["paused"])
    if "errno" in last:
        raise OSError(last["errno"], os.strerror(last["errno"]))
    if running.returncode or "done" not in last:
        raise BrokeOff(
            sentence(
                f"One of the {processes} processes that train together ended before its time. What was "
                "learnt by the last whole epoch is kept, and the same training goes on from there."
            )
        )


def _end(running: subprocess.Popen[bytes]) -> None:
    assert running.stdin is not None
    running.stdin.close()
    if running.poll() is None:
        running.terminate()
        try:
            running.wait(_TO_END)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def main() -> None:
    """One of the processes; the first says what there is to say, in lines of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library has to say is no answer
    threading.Thread(target=_end_with_the_asker, args=(os.getppid(),), daemon=True).start()
    folder = Path(sys.argv[1])
    order = json.loads((folder / "order.json").read_text())
    torch.set_num_threads(order["threads"])
    with_gpu = torch.cuda.is_available()
    distributed.init_process_group("nccl" if with_gpu else "gloo")
    rank, count = distributed.get_rank(), distributed.get_world_size()
    device = torch.device("cuda", rank) if with_gpu else torch.device("cpu")
    if with_gpu:
        torch.cuda.set_device(device)

    def say(**words: Any) -> None:
        if rank == 0:
            answers.write(json.dumps(words, default=list) + "\n")
            answers.flush()

    try:
        _train(folder, order, ranks=Ranks(rank, count, device), say=say)
        say(done=True)
    except Paused as pause:
        say(paused=str(pause))
    except OSError as error:
        say(errno=error.errno or errno.EIO)
        raise
    distributed.destroy_process_group()


def _train(folder: Path, order: dict[str, Any], *, ranks: Ranks, say: Callable[..., None]) -> None:
    settings = FinetuneSettings(**order["settings"])
    network = Network(len(order["findings"]), dropout=settings.dropout)
    network.load_state_dict(torch.load(folder / "start.pt", weights_only=True))
    clock = TimeBudget(settings.budget)
    clock.go_on(order["clock"])
    twice = folder / "twice.npy"
    trained = finetune(
        network,
        _labelled(folder, "data", order["findings"]),
        _labelled(folder, "select", order["findings"]),
        settings=settings,
        seed=order["seed"],
        checkpoint=Path(order["checkpoint"]),
        log=lambda **event: say(log=event),  # noqa: PLW0108 - one word, `log`, of several
        twice=np.load(twice) if twice.exists() else None,
        clock=clock,
        report=lambda *progress: say(report=progress),
        ranks=ranks,
    )
    if ranks.rank == 0:
        torch.save(trained.state_dict(), folder / "finished.pt")


def _labelled(folder: Path, name: str, findings: list[str]) -> Labelled:
    """The pictures and their labels; whose they are was settled before."""
    images = np.load(folder / f"{name}-images.npy", mmap_mode="r")
    labels = np.load(folder / f"{name}-labels.npy")
    nobody = np.full(len(images), "")
    return Labelled(images, labels, nobody, nobody, ("",) * len(images), tuple(findings), ())


def _end_with_the_asker(launcher: int) -> None:
    """Nobody is left behind: the other end of the standard input is gone once the asker is, and the launcher
    may be killed as well.
    """
    asker = threading.Thread(target=_end_with_input, args=(sys.stdin,), daemon=True)
    asker.start()
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)


def _end_with_input(stdin: IO[str]) -> None:
    with suppress(OSError):
        os.read(stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
