"""Fine-tuning of the whole network on hard pictures: averaged weights, chosen under stress, resumable to the step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models import figures as merit
from models.augment import training_picture
from models.dataset import Labelled
from models.judge import Report, network_logits
from models.network import Network
from models.stress import MIXED, shifted


@dataclass(frozen=True)
class FinetuneSettings:
    """Everything that decides the outcome of fine-tuning, besides data and seed."""

    epochs: int = 12
    batch: int = 32
    per_epoch: int = 2048
    """Pictures an epoch, half of them with the first finding, whatever the data's shares are."""
    learning_rate: float = 4e-4
    weight_decay: float = 0.02
    dropout: float = 0.2
    label_smoothing: float = 0.04
    mixup: float = 0.3
    """Share of batches whose pictures are mixed in pairs."""
    average: float = 0.995
    """Decay of the running mean of the weights; the mean is what is kept."""
    research_weight: float = 0.2
    minutes: float | None = None
    """Stop after this long with `Paused`; the outcome does not depend on it."""


class Paused(Exception):
    """The time budget is spent; what was learnt is in the checkpoint and the same order goes on from there."""


def finetune(
    network: Network,
    data: Labelled,
    select: Labelled,
    *,
    settings: FinetuneSettings,
    seed: int,
    folder: Path,
    log: Callable[..., None],
    report: Report = lambda stage, done, of: None,
) -> Network:
    """The averaged network of the epoch that did best on the select patients under stress.

    A checkpoint is written after every epoch; where one lies in the folder, training goes on from it and ends with the same weights.
    """
    steps = settings.per_epoch // settings.batch
    network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(_groups(network, settings), lr=settings.learning_rate)
    hard = {name: shifted(select.images, change=MIXED, strength=grade, seed=seed) for name, grade in _SELECTING.items()}
    epoch, best, best_state = 0, -math.inf, copy.deepcopy(average.state_dict())
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        epoch, best, best_state = saved["epoch"], saved["best"], saved["best_state"]
    started = time.monotonic()
    with ThreadPoolExecutor(1) as ahead:
        while epoch < settings.epochs:
            order = epoch_order(data.labels[:, 0], settings.per_epoch, seed=seed, epoch=epoch)
            batches = [order[at * settings.batch : (at + 1) * settings.batch] for at in range(steps)]
            torch.manual_seed(seed * 1000 + epoch)
            coming = ahead.submit(training_batch, data, batches[0], settings, (seed, epoch, 0))
            losses = []
            for step in range(steps):
                pictures, targets = coming.result()
                if step + 1 < steps:
                    coming = ahead.submit(training_batch, data, batches[step + 1], settings, (seed, epoch, step + 1))
                rate = settings.learning_rate * _schedule((epoch * steps + step) / (settings.epochs * steps))
                losses.append(_step(network, optimiser, pictures, targets, rate=rate, settings=settings))
                _update_average(average, network, decay=settings.average, step=epoch * steps + step)
                report(f"Fine-tuning, epoch {epoch + 1} of {settings.epochs}", epoch * steps + step + 1, settings.epochs * steps)
            epoch += 1
            aucs = {"plain": _auc(average, select, select.images)} | {
                name: _auc(average, select, images) for name, images in hard.items()
            }
            score = sum(aucs.values()) / len(aucs)
            log(event="epoch", epoch=epoch, loss=round(float(np.mean(losses)), 4), select_auc=_rounded(aucs))
            if score >= best:
                best, best_state = score, copy.deepcopy(average.state_dict())
            _save(checkpoint, {
                "network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                "epoch": epoch, "best": best, "best_state": best_state,
            })
            spent = (time.monotonic() - started) / 60
            if settings.minutes is not None and spent >= settings.minutes and epoch < settings.epochs:
                raise Paused(
                    f"The time budget is spent after epoch {epoch} of {settings.epochs}; run the same command again to go on."
                )
    average.load_state_dict(best_state)
    return average.eval()


_SELECTING = {"stress .66": 0.66, "stress 1": 1.0}


def _groups(network: Network, settings: FinetuneSettings) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, as is usual: norms and biases are left alone."""
    decayed = [tensor for tensor in network.parameters() if tensor.ndim > 1]
    free = [tensor for tensor in network.parameters() if tensor.ndim <= 1]
    return [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]


def _schedule(progress: float) -> float:
    """Share of the learning rate: up over the first twentieth, then down along a cosine to a hundredth."""
    if progress < 0.05:
        return max(progress / 0.05, 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def epoch_order(truth: NDArray[np.float32], count: int, *, seed: int, epoch: int) -> NDArray[np.intp]:
    """Which pictures an epoch shows, in order: half with the finding and half without, each list gone through before it repeats."""
    chosen = []
    for label in (0, 1):
        members = np.flatnonzero((truth > 0.5) == bool(label))
        wanted, start = count // 2, epoch * (count // 2)
        rounds = range(start // len(members), (start + wanted - 1) // len(members) + 1)
        stream = np.concatenate([np.random.default_rng((seed, label, turn)).permutation(members) for turn in rounds])
        offset = start - rounds.start * len(members)
        chosen.append(stream[offset : offset + wanted])
    return np.random.default_rng((seed, epoch)).permutation(np.concatenate(chosen))


def training_batch(
    data: Labelled, chosen: NDArray[np.intp], settings: FinetuneSettings, key: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Pictures, float32 (n, 1, side, side), and soft targets, (n, findings), that depend on the key alone."""
    draw = np.random.default_rng(key)
    pictures = np.stack([
        training_picture(data.images[index], data.images, np.random.default_rng((*key, position)))
        for position, index in enumerate(chosen)
    ])[:, None]
    targets = data.labels[chosen] * (1 - settings.label_smoothing) + 0.5 * settings.label_smoothing
    if draw.random() < settings.mixup:
        share, partner = np.float32(draw.beta(0.4, 0.4)), draw.permutation(len(chosen))
        pictures = share * pictures + (1 - share) * pictures[partner]
        targets = share * targets + (1 - share) * targets[partner]
    return torch.from_numpy(pictures), torch.from_numpy(targets.astype(np.float32))


def _step(
    network: Network, optimiser: torch.optim.AdamW, pictures: Tensor, targets: Tensor, *, rate: float,
    settings: FinetuneSettings,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = network.features(pictures.to(memory_format=torch.channels_last))
    logits = network.head(network.dropout(features.float().mean(dim=(2, 3))))
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=0)
    loss = losses[0] + settings.research_weight * losses[1:].sum()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return float(losses[0].detach())


@torch.no_grad()
def _update_average(average: Network, network: Network, *, decay: float, step: int) -> None:
    """Move the mean towards the weights; early on faster, so that the start does not linger in it."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


def _auc(network: Network, data: Labelled, images: NDArray[np.uint8]) -> float:
    return merit.auc(data.labels[:, 0], network_logits(network, images)[:, 0])


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _save(path: Path, state: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)
