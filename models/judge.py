"""What held-out patients say of a network: logits plain and stressed, the calibration and cuts that follow,
and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import figures as merit
from models.calibrate import fit_platt, probabilities, thresholds
from models.dataset import Labelled
from models.figures import Array
from models.manifest import Calibration, Thresholds
from models.network import Network
from models.runtime import LARGEST_BATCH, Runtime
from models.sentence import sentence
from models.stress import MIXED, network_input, shifted

Report = Callable[[str, int, int], None]
CALIBRATION_SHIFTS = (0.33, 0.66, 1.0)
PREVALENCE = 0.5
"""Probabilities are given for a finding as frequent as its absence: no site has the prevalence of our data.
"""


@torch.inference_mode()
def network_logits(
    network: Network, images: NDArray[np.uint8], *, on_images: Callable[[int], None] = lambda *_: None
) -> Array:
    """Logits, float64 (n, findings), of squashed images (n, side, side), in bf16 as in serving, where
    the network is.
    """
    was_training = network.training
    network.eval()
    out, device = [], network.head.weight.device
    for first in range(0, len(images), 32):
        batch = torch.from_numpy(network_input(images[first : first + 32])).to(
            device=device, memory_format=torch.channels_last
        )
        with torch.autocast(device.type, dtype=torch.bfloat16):
            features = network.features(batch)
        pooled = features.float().mean(dim=(2, 3))
        out.append((pooled @ network.head.weight.T + network.head.bias).double().cpu().numpy())
        on_images(len(batch))
    network.train(was_training)
    return np.concatenate(out)


def runtime_logits(
    runtime: Runtime,
    biases: Sequence[float],
    images: NDArray[np.uint8],
    *,
    on_images: Callable[[int], None] = lambda *_: None,
) -> Array:
    """The same as `network_logits` from what serves: the exported network in its runtime."""
    parts = [images[first : first + LARGEST_BATCH] for first in range(0, len(images), LARGEST_BATCH)]
    out = []
    # The next pictures are prepared while the network is at work on these.
    with ThreadPoolExecutor(1) as ahead:
        for batch in ahead.map(network_input, parts):
            out.append(runtime.look(batch).maps.sum(axis=(2, 3), dtype=np.float64) + np.asarray(biases))
            on_images(len(batch))
    return np.concatenate(out)


def runtime_distances(runtime: Runtime, images: NDArray[np.uint8]) -> Array:
    """Distances from the training images, (n,), of squashed images (n, side, side)."""
    looks = [
        runtime.look(network_input(images[first : first + LARGEST_BATCH])).distances
        for first in range(0, len(images), LARGEST_BATCH)
    ]
    return np.concatenate(looks).astype(np.float64)


def calibrated_parts(
    runtimes: Mapping[str, Runtime],
    biases: Sequence[float],
    held_out: Labelled,
    *,
    seed: int,
    report: Report = lambda *_: None,
) -> tuple[dict[str, Calibration], dict[str, Thresholds], dict[str, Any]]:
    """Calibration, thresholds and figures of every finding, from patients the network was neither trained nor
    chosen on.

    Calibration is fitted on the plain images and on mixtures of acquisition shifts in every grade together,
    so that it is not surer than it can be in another room; in fp32. The bounds hold in the precision of each
    of the ``runtimes``, of which fp32 is one.
    """
    runtime = runtimes["fp32"]
    total, done = len(held_out) * (1 + len(CALIBRATION_SHIFTS)), 0

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report(sentence("Calibrating"), done, total)

    def changed(number: int) -> NDArray[np.uint8]:
        strength = CALIBRATION_SHIFTS[number]
        return shifted(held_out.images, change=MIXED, strength=strength, seed=seed + number)

    with ThreadPoolExecutor(1) as ahead:
        copies = ahead.map(changed, range(len(CALIBRATION_SHIFTS)))
        plain = runtime_logits(runtime, biases, held_out.images, on_images=on_images)
        stressed = np.concatenate(
            [runtime_logits(runtime, biases, images, on_images=on_images) for images in copies]
        )
    others = {
        precision: runtime_logits(other, biases, held_out.images)
        for precision, other in runtimes.items()
        if other is not runtime
    }
    stressed_labels = np.tile(held_out.labels, (len(CALIBRATION_SHIFTS), 1))
    calibration, cuts, figures = {}, {}, {}
    for index, name in enumerate(held_out.findings):
        truth, stressed_truth = held_out.labels[:, index], stressed_labels[:, index]
        fit = fit_platt(
            np.concatenate([plain[:, index], stressed[:, index]]),
            np.concatenate([truth, stressed_truth]),
            prevalence=PREVALENCE,
        )
        calm, hard = probabilities(plain[:, index], fit), probabilities(stressed[:, index], fit)
        cut = thresholds(
            plain={"fp32": calm}
            | {precision: probabilities(logits[:, index], fit) for precision, logits in others.items()},
            stressed=hard,
            stressed_truth=stressed_truth,
            truth=truth,
            patients=held_out.patients,
        )
        calibration[name], cuts[name] = fit, cut
        figures[name] = {
            "plain": summary(truth, calm, point=cut.operating_point),
            "stressed": summary(stressed_truth, hard, point=cut.operating_point),
        }
    return calibration, cuts, figures


def summary(truth: NDArray[np.generic], probability: Array, *, point: float) -> dict[str, float]:
    """The usual figures at an operating point, rounded to four places."""
    called = probability >= point
    outcome = np.asarray(truth) > 0.5
    values = {
        "auc": merit.auc(truth, probability),
        "accuracy": float((called == outcome).mean()),
        "sensitivity": merit.sensitivity(truth, called),
        "specificity": merit.specificity(truth, called),
        "specificity_at_sensitivity_995": merit.specificity_at(truth, probability, least_sensitivity=0.995),
        "brier": merit.brier(truth, probability),
    }
    return {name: round(value, 4) for name, value in values.items()}
