"""Training from a bundle, from files to a calibrated candidate: quick the first time and with its features
kept, and thorough within a budget. The exit code is 1 where quick training with nothing kept takes more than
60 seconds, which is what the 5,232 images of the Kermany set may take on two cores.

    .venv/bin/python -m bench.quick_training DATA [--exclude-patients CSV] [--steps 20] [--budget 20m]

The baselines are measured in the same run. Fine-tuning as everybody does it (torch, 224 points, batches of
32, the step of `bench.simple_finetuning`): some steps of it, and from them the seconds of one epoch over the
images that quick training learns from. And scikit-learn (`python3.11 install.py --extra bench`): its
LogisticRegression with the same objective on the same features, beside the head that quick training fits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from bench.simple_finetuning import learn
from models import figures as merit
from models.bundle import default_bundle_path
from models.dataset import Labelled, load
from models.examples import excluded_patients, list_examples
from models.features import fit_head
from models.network import imagenet_network
from models.parts import CALIBRATE, TRAIN
from models.quick import KeptFeatures, drawings_of
from models.start import Start

_BATCH = 32
_SIDE = 224
_SEED = 7
_MOST_SECONDS = 60.0
"""For quick training with nothing kept, of the Kermany set on two cores."""
_PENALTY = 0.01
"""That of `models.features.fit_head`."""


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold, log = _train(options, folder, name="first", mode="quick")
        warm, _ = _train(options, folder, name="again", mode="quick")
        images, learnt = log["data"]["images"], log["data"]["parts"]["train"]["images"]
        good = cold <= _MOST_SECONDS
        print(
            f"quick, nothing kept, files to candidate:   {cold:7.1f} s  ({images / cold:.1f} images/s), "
            f"at most {_MOST_SECONDS:.0f} s{'' if good else '   NOT REACHED'}",
            flush=True,
        )
        print(f"quick, features kept, files to candidate:  {warm:7.1f} s  ({images / warm:.1f} images/s)")
        rate = _plain_rate(options.data, steps=options.steps)
        epoch = learnt / rate
        print(f"one epoch of plain fine-tuning:            {epoch:7.1f} s  ({rate:.1f} images/s)", flush=True)
        print(f"  quick takes {cold / epoch:.2f} of such an epoch, {warm / epoch:.2f} with features kept")
        _beside_scikit_learn(options, folder, cold=cold)
        if options.budget:
            _thorough(options, folder, rate=rate, epoch=epoch)
    return 0 if good else 1


def _thorough(options: argparse.Namespace, folder: Path, *, rate: float, epoch: float) -> None:
    """Pictures learnt from a second while the epochs last, their judging included."""
    seconds, log = _train(options, folder, name="thorough", mode="thorough")
    if "epoch" not in log:
        print(f"thorough within {options.budget}: no epoch fitted in after quick; give a longer --budget")
        return
    shown = log["step"]["step"] * _BATCH
    learning = 60 * (log["epoch"]["minutes"] - log["start"]["minutes"])
    rates = shown / learning, shown / learning / rate
    print(
        f"thorough within {options.budget}, files to candidate: {seconds:7.1f} s  "
        f"({shown} pictures, {log['epoch']['epoch']} epochs, {learning:.1f} s: {rates[0]:.1f} images/s)"
    )
    print(f"  {seconds / epoch:.2f} of an epoch of plain fine-tuning, {rates[1]:.2f} of its images/s")


def _train(
    options: argparse.Namespace, folder: Path, *, name: str, mode: str
) -> tuple[float, dict[str, dict[str, Any]]]:
    """Seconds of the whole command, and the last event of each kind in its log."""
    out = folder / f"{name}.bundle"
    command = [sys.executable, "-m", "app.cli", "train", str(options.data), "--mode", mode, "--out", str(out)]
    command += ["--start", str(default_bundle_path()), "--features", str(folder / "features")]
    if mode == "thorough":
        command += ["--budget", options.budget]
    for manifest in options.exclude_patients:
        command += ["--exclude-patients", str(manifest)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    lines = (folder / f"{name}.bundle.training" / "log.jsonl").read_text().splitlines()
    return seconds, {event["event"]: event for event in map(json.loads, lines)}


def _beside_scikit_learn(options: argparse.Namespace, folder: Path, *, cold: float) -> None:
    """Both heads on the features that quick training kept, with their AUC on the patients calibrated on."""
    start = Start.read(default_bundle_path())
    listed, notices = list_examples(options.data)
    side = start.manifest.input_size
    data = load(listed, side=side, exclude=excluded_patients(options.exclude_patients), notices=notices)
    part = start.parts(data, seed=_SEED, choosing=False)
    learning, held_out = data.take(part == TRAIN), data.take(part == CALIBRATE)
    network = imagenet_network(len(data.findings))
    start.give(network, findings=data.findings, whole=False)
    kept = KeptFeatures(network, side=side, threads=2, cache=folder / "features")
    drawings = drawings_of(learning, seed=_SEED)
    features, unseen = kept.of(learning, drawings), kept.as_they_are(held_out)
    labels = learning.labels[[drawn.image for drawn in drawings]]

    started = time.perf_counter()
    weight, bias = fit_head(features, labels, penalty=_PENALTY)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    scaled = (features - mean) / spread
    strength = 1 / (2 * _PENALTY * len(scaled))
    theirs = [
        LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(
            scaled, labels[:, at] > 0.5
        )
        for at in range(labels.shape[1])
    ]
    took = time.perf_counter() - started
    truth = held_out.labels[:, 0]
    said = {
        "ours": unseen @ weight[0] + bias[0],
        "theirs": theirs[0].decision_function((unseen - mean) / spread),
    }
    auc = {name: merit.auc(truth, logits.astype(np.float64)) for name, logits in said.items()}
    print(f"head on {len(features)} features, ours:            {ours:9.2f} s  (AUC {auc['ours']:.4f})")
    print(f"the same by scikit-learn:                  {took:9.2f} s  (AUC {auc['theirs']:.4f})")
    print(
        f"  {ours / took:.2f} of scikit-learn's seconds; with its head, from files to candidate, "
        f"quick would take {(cold - ours + took) / cold:.3f} as long"
    )


def _plain_rate(data: Path, *, steps: int) -> float:
    """Images per second of plain fine-tuning, pictures already read."""
    torch.set_num_threads(2)
    labelled = _some(data, count=8 * _BATCH)
    network = imagenet_network(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-4)
    draw = np.random.default_rng(_SEED)

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
    parser.add_argument("--budget", default="20m", help="of thorough training; empty for quick alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
