"""Some steps of fine-tuning: by one process or by several in full precision, or by two that another asks.

python -m torch.distributed.run --standalone --nproc-per-node=2 -m tests.models.some_steps FOLDER
python -m tests.models.some_steps FOLDER asking
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from models.dataset import Labelled
from models.finetune import FinetuneSettings, finetune
from models.network import Network, imagenet_network
from models.phantom import phantom
from models.ranks import Ranks
from models.together import finetune_together

SETTINGS = FinetuneSettings(epochs=3, batch=6, per_epoch=12, mixup=0.7, dropout=0.5)
"""Of two steps an epoch, most of them with pairs mixed across the processes."""


def start() -> Network:
    """The network before the first step, of two findings."""
    torch.manual_seed(0)
    network = imagenet_network(2, dropout=SETTINGS.dropout)
    with torch.no_grad():
        network.head.weight.normal_(std=0.02)
    return network


MORE = 60
"""Epochs that nobody waits for: whoever is to be killed is still at work."""


def trained(
    folder: Path,
    *,
    log: Callable[..., None] = lambda **_: None,
    epochs: int = SETTINGS.epochs,
    **by: Any,
) -> Network:
    """Trained by these ``ranks`` or so many ``processes``; the checkpoint is in the folder."""
    data, select = _drawn_chests(18, first=0), _drawn_chests(7, first=100)
    run: Callable[..., Network] = finetune_together if "processes" in by else finetune
    return run(
        start(),
        data,
        select,
        settings=replace(SETTINGS, epochs=epochs),
        seed=7,
        checkpoint=folder / "checkpoint.pt",
        log=log,
        **by,
    )


def _drawn_chests(count: int, *, first: int) -> Labelled:
    seeds = range(first, first + count)
    images = np.stack([phantom(seed, rows=64, columns=64, opacity=seed % 2 == 1) for seed in seeds])
    labels = np.array([[seed % 2, seed % 4 == 1] for seed in seeds], np.float32)
    names = np.array([str(seed) for seed in seeds])
    return Labelled(images.astype(np.uint8), labels, names, names, tuple(names), ("one", "other"), ())


def _say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    folder = Path(sys.argv[1])
    if "asking" in sys.argv:
        trained(folder, log=_say, epochs=MORE, processes=2, threads=2)
        return
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    ranks = Ranks(distributed.get_rank(), distributed.get_world_size(), torch.device("cpu"))
    # In bf16 another order of sums is another network after a few steps.
    torch.autocast = lambda *_, **__: nullcontext()  # type: ignore[assignment, misc]
    trained(folder, ranks=ranks)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
