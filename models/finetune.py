"""Fine-tuning of the whole network on hard pictures: averaged weights, chosen under stress, resumable to the
epoch.
"""

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
from torch import Tensor, nn
from torch.nn import functional

from models import figures as merit
from models.dataset import Labelled
from models.epoch import Batch, Drawing, epoch_order, training_batch
from models.framing import worst_of_frames
from models.judge import Report, network_logits
from models.network import Network
from models.stress import MIXED, shifted


@dataclass(frozen=True)
class FinetuneSettings:
    """Everything that decides the outcome of fine-tuning, besides data and seed."""

    epochs: int = 12
    batch: int = 32
    per_epoch: int = 2560
    """Pictures an epoch, half of them with the first finding, whatever the data's shares are."""
    learning_rate: float = 3e-4
    weight_decay: float = 0.02
    dropout: float = 0.2
    label_smoothing: float = 0.04
    mixup: float = 0.3
    """Share of batches whose pictures are mixed in pairs."""
    rivals: float = 0.5
    """Share of the pictures that are drawn twice; the network learns from the drawing it does worse on, so
    that no frame, border or tone can serve it in place of the disease."""
    mild: float = 0.0
    """Share of the pictures that are drawn much as they arrive."""
    swapped: float = 0.0
    """Share of the pictures in which left and right are swapped."""
    average: float = 0.995
    """Decay of the running mean of the weights; the mean is what is kept."""
    research_weight: float = 0.2
    minutes: float | None = None
    """Stop after this long with `Paused`; the outcome does not depend on it."""

    def drawing(self) -> Drawing:
        """What of this concerns how pictures are drawn."""
        return Drawing(
            self.batch, self.rivals, self.mixup, self.label_smoothing, mild=self.mild, swapped=self.swapped
        )


GOING_ON = FinetuneSettings(epochs=8, learning_rate=1.5e-4, mild=0.5, swapped=0.5)
"""For a network that was fine-tuned before: half of the pictures much as they arrive, left and right swapped
by chance, at half the rate."""


class Paused(Exception):
    """The time budget is spent; what was learnt is in the checkpoint, and the same order goes on there."""


def finetune(
    network: Network,
    data: Labelled,
    select: Labelled,
    *,
    settings: FinetuneSettings,
    seed: int,
    checkpoint: Path,
    log: Callable[..., None],
    twice: NDArray[np.bool_] | None = None,
    report: Report = lambda *_: None,
) -> Network:
    """The averaged network of the epoch that did best on the select patients under stress.

    Images in ``twice`` are shown twice as often as others.
    The checkpoint is written after every epoch; where there is one, training goes on from it and ends with
    the same weights. Raises `Paused` after an epoch when the time budget is spent.
    """
    run = _Run(network, select, settings=settings, seed=seed)
    if checkpoint.exists():
        run.load(checkpoint)
    else:
        log(event="start", select_auc=_rounded(run.judge()))
    started = time.monotonic()
    while run.epoch < settings.epochs:
        loss = run.one_epoch(data, twice=twice, report=report)
        log(event="epoch", epoch=run.epoch, loss=round(loss, 4), select_auc=_rounded(run.judge()))
        run.save(checkpoint)
        spent = (time.monotonic() - started) / 60
        if settings.minutes is not None and spent >= settings.minutes and run.epoch < settings.epochs:
            raise Paused(
                f"The time budget is spent after epoch {run.epoch} of {settings.epochs}; "
                "run the same command again to go on."
            )
    run.average.load_state_dict(run.best_state)
    return run.average.eval()


_SELECTING = {"stress .66": 0.66, "stress 1": 1.0}


class _Run:
    """What changes while training goes on: all of it goes into the checkpoint."""

    def __init__(self, network: Network, select: Labelled, *, settings: FinetuneSettings, seed: int) -> None:
        self.settings, self.seed, self.select = settings, seed, select
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(_groups(self.network, settings), lr=settings.learning_rate)
        self.epoch = 0
        self.best = -math.inf
        self.best_state = copy.deepcopy(self.average.state_dict())
        self._hard = {
            name: shifted(select.images, change=MIXED, strength=grade, seed=seed)
            for name, grade in _SELECTING.items()
        }

    def one_epoch(self, data: Labelled, *, twice: NDArray[np.bool_] | None, report: Report) -> float:
        """Show one epoch's pictures; the mean loss. What happens depends on seed and epoch alone."""
        settings, epoch = self.settings, self.epoch
        steps = settings.per_epoch // settings.batch
        order = epoch_order(data.labels[:, 0], settings.per_epoch, seed=self.seed, epoch=epoch, twice=twice)
        batches = [order[at * settings.batch : (at + 1) * settings.batch] for at in range(steps)]
        torch.manual_seed(self.seed * 1000 + epoch)
        self.network.train()
        _keep_norms_still(self.network)
        losses = []
        # The next batch is drawn while the network learns from this one.
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(training_batch, data, batches[0], settings.drawing(), (self.seed, epoch, 0))
            for step in range(steps):
                batch = coming.result()
                if step + 1 < steps:
                    key = (self.seed, epoch, step + 1)
                    coming = ahead.submit(training_batch, data, batches[step + 1], settings.drawing(), key)
                done, of = epoch * steps + step, settings.epochs * steps
                rate = settings.learning_rate * _schedule(done / of)
                pictures, targets = batch.mixed(harder(self.network, batch))
                losses.append(
                    _step(self.network, self.optimiser, pictures, targets, rate=rate, settings=settings)
                )
                _update_average(self.average, self.network, decay=settings.average, step=done)
                report("Fine-tuning", done + 1, of)
        self.epoch += 1
        return float(np.mean(losses))

    def judge(self) -> dict[str, float]:
        """AUC of the averaged weights on the select patients, plain, under stress and with each image in the
        frame that serves it worst; the best are remembered.
        """
        truth = self.select.labels[:, 0]

        def logits(images: NDArray[np.uint8]) -> NDArray[np.float64]:
            return network_logits(self.average, images)[:, 0]

        sets = {"plain": self.select.images} | self._hard
        aucs = {name: merit.auc(truth, logits(images)) for name, images in sets.items()}
        aucs["worst frame"] = merit.auc(truth, worst_of_frames(logits, self.select.images, truth))
        score = sum(aucs.values()) / len(aucs)
        if score >= self.best:
            self.best, self.best_state = score, copy.deepcopy(self.average.state_dict())
        return aucs

    def save(self, path: Path) -> None:
        unfinished = path.with_suffix(".unfinished")
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "best_state": self.best_state,
        }
        torch.save(state, unfinished)
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.epoch, self.best, self.best_state = saved["epoch"], saved["best"], saved["best_state"]


def _keep_norms_still(network: Network) -> None:
    """Batch norms keep the ImageNet statistics: the head was fitted to features under these, and a batch of
    drawn pictures would teach them the look of the drawing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


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


@torch.no_grad()
def harder(network: Network, batch: Batch) -> Tensor:
    """The batch's pictures, each replaced by its rival where the network does worse on that."""
    count = len(batch.rivals)
    if not count:
        return batch.pictures
    both = torch.cat([batch.pictures[:count], batch.rivals]).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = network.features(both)
    logits = network.head(features.float().mean(dim=(2, 3)))[:, 0]
    losses = functional.binary_cross_entropy_with_logits(
        logits, batch.targets[:count, 0].repeat(2), reduction="none"
    )
    worse = losses[count:] > losses[:count]
    kept = torch.where(worse[:, None, None, None], batch.rivals, batch.pictures[:count])
    return torch.cat([kept, batch.pictures[count:]])


def _step(
    network: Network,
    optimiser: torch.optim.AdamW,
    pictures: Tensor,
    targets: Tensor,
    *,
    rate: float,
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


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
