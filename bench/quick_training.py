"""Quick training from a bundle: files to a calibrated candidate, the first time and with its features kept.

    .venv/bin/python -m bench.quick_training DATA [--exclude-patients CSV] [--steps 20]

The baseline is fine-tuning as everybody does it (torch, 224 points, batches of 32, the step of
`bench.simple_finetuning`): some steps of it, and from them the seconds of one epoch over the images that
quick training learns from.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench.simple_finetuning import learn
from models.bundle import default_bundle_path
from models.dataset import Labelled, load
from models.examples import list_examples
from models.network import imagenet_network

_BATCH = 32
_SIDE = 224


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        cold = _train(options, Path(folder), name="first")
        warm = _train(options, Path(folder), name="again")
        log = (Path(folder) / "first.bundle.training" / "log.jsonl").read_text().splitlines()
    told = json.loads(log[0])
    images, learnt = told["images"], told["parts"]["train"]["images"]
    print(f"files to candidate, nothing kept:    {cold:6.1f} s  ({images / cold:.1f} images/s)")
    print(f"files to candidate, features kept:   {warm:6.1f} s  ({images / warm:.1f} images/s)")
    rate = _plain_rate(options.data, steps=options.steps)
    epoch = learnt / rate
    print(
        f"one epoch of plain fine-tuning:      {epoch:6.1f} s  "
        f"({rate:.1f} images/s over {options.steps} steps)"
    )
    print(f"ratio: {epoch / cold:.2f} (nothing kept), {epoch / warm:.2f} (features kept) candidates an epoch")


def _train(options: argparse.Namespace, folder: Path, *, name: str) -> float:
    command = [sys.executable, "-m", "app.cli", "train", str(options.data), "--mode", "quick"]
    command += ["--start", str(default_bundle_path()), "--features", str(folder / "features")]
    command += ["--out", str(folder / f"{name}.bundle")]
    for manifest in options.exclude_patients:
        command += ["--exclude-patients", str(manifest)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _plain_rate(data: Path, *, steps: int) -> float:
    """Images per second of plain fine-tuning, pictures already read."""
    torch.set_num_threads(2)
    labelled = _some(data, count=8 * _BATCH)
    network = imagenet_network(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-4)
    draw = np.random.default_rng(7)

    def step() -> None:
        learn(network, optimiser, labelled.take(draw.integers(0, len(labelled), _BATCH)))

    step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * _BATCH / (time.perf_counter() - started)


def _some(data: Path, *, count: int) -> Labelled:
    listed, _ = list_examples(data)
    by_class = [[one for one in listed if one.label == label] for label in {one.label for one in listed}]
    return load([one for members in by_class for one in members[: count // len(by_class)]], side=_SIDE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--exclude-patients", type=Path, action="append", default=[])
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
