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

from models import figures as merit
from models.dataset import Labelled
from models.epoch import Drawing, epoch_order, training_batch
from models.examples import DatasetRefused
from models.framing import worst_of_frames
from models.judge import Report, network_logits
from models.network import Network
from models.ranks import Ranks
from models.sentence import sentence
from models.step import Learner, groups, harder, keep_norms_still, learn, schedule, update_average
from models.stress import MIXED, shifted
from models.time_budget import TimeBudget


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
    budget: float | None = None
    """Minutes for the whole training: epochs end when `models.time_budget.LEARNING_SHARE` of them are spent,
    with the rate brought down by then, and the best network so far is the outcome."""

    def drawing(self) -> Drawing:
        """What of this concerns how pictures are drawn."""
        return Drawing(
            self.batch, self.rivals, self.mixup, self.label_smoothing, mild=self.mild, swapped=self.swapped
        )


GOING_ON = FinetuneSettings(epochs=8, learning_rate=1.5e-4, mild=0.5, swapped=0.5)
"""For a network that was fine-tuned before: half of the pictures much as they arrive, left and right swapped
by chance, at half the rate."""


class Paused(Exception):
    """The minutes are spent; what was learnt is in the checkpoint, and the same order goes on there."""


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
    clock: TimeBudget | None = None,
    report: Report = lambda *_: None,
    ranks: Ranks | None = None,
) -> Network:
    """The averaged network of the epoch that did best on the select patients under stress.

    Images in ``twice`` are shown twice as often as others. The ``clock`` has begun when the training began;
    what it is told to take goes by `FinetuneSettings.budget`.
    The checkpoint is written after every epoch; where there is one, training goes on from it and, without a
    budget, ends with the same weights. Beside it is written, with all that is logged, what the clock says.
    Raises `Paused` after an epoch when `FinetuneSettings.minutes` are spent, and `DatasetRefused` where
    attempts that were broken off spent the budget before the first had ended. Runs on a GPU where torch sees
    one. As one of several ``ranks`` (`models.together` begins them) it draws and learns from its own pictures
    of every batch, all come to the same weights, and the first alone writes and tells.
    """
    clock = clock or TimeBudget(settings.budget)
    clock.read(checkpoint)
    ranks = ranks or Ranks()
    run = _Run(network, select, settings=settings, seed=seed, clock=clock, ranks=ranks)

    def tell(**event: Any) -> None:
        if ranks.rank == 0:
            clock.write(checkpoint)
        log(**event)

    if checkpoint.exists():
        run.load(checkpoint)
    else:
        tell(event="start", select_auc=_rounded(run.judge()), minutes=round(clock.spent, 2))
    started = time.monotonic()
    while run.epoch < settings.epochs and not ranks.first(clock.is_spent):
        loss = run.one_epoch(data, twice=twice, log=tell, report=report)
        aucs = run.judge()
        if ranks.rank == 0:
            run.save(checkpoint)  # whoever is told of an epoch can rely on its checkpoint
        tell(
            event="epoch",
            epoch=run.epoch,
            of=settings.epochs,
            loss=round(loss, 4),
            select_auc=_rounded(aucs),
            minutes=round(clock.spent, 2),
        )
        spent = ranks.first((time.monotonic() - started) / 60)
        if settings.minutes is not None and spent >= settings.minutes and run.epoch < settings.epochs:
            raise Paused(
                f"The minutes are spent after epoch {run.epoch} of {settings.epochs}; "
                "run the same command again to go on."
            )
    if run.epoch == 0 and clock.before > 0:
        raise DatasetRefused(
            "Attempts that were broken off have spent the time before one round of learning was done, so "
            "nothing was learnt. Give it more time."
        )
    run.average.load_state_dict(run.best_state)
    average: Network = run.average.to("cpu").eval()
    return average


_TOLD_EVERY = 10
"""Steps whose mean loss is told together."""
_SELECTING = {"stress .66": 0.66, "stress 1": 1.0}


class _Run:
    """What changes while training goes on: all of it goes into the checkpoint."""

    def __init__(
        self,
        network: Network,
        select: Labelled,
        *,
        settings: FinetuneSettings,
        seed: int,
        clock: TimeBudget,
        ranks: Ranks,
    ) -> None:
        self.settings, self.seed, self.select, self.clock = settings, seed, select, clock
        self.ranks = ranks
        self.network = network.to(ranks.device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.learner = ranks.together(Learner(self.network, ranks))
        self.optimiser = torch.optim.AdamW(
            groups(self.network, weight_decay=settings.weight_decay), lr=settings.learning_rate
        )
        self.epoch = 0
        self.best = -math.inf
        self.best_state = copy.deepcopy(self.average.state_dict())
        self._hard = {
            name: shifted(select.images, change=MIXED, strength=grade, seed=seed)
            for name, grade in _SELECTING.items()
        }

    def one_epoch(
        self,
        data: Labelled,
        *,
        twice: NDArray[np.bool_] | None,
        log: Callable[..., None],
        report: Report,
    ) -> float:
        """Show one epoch's pictures, or fewer where the budget ends it; the mean loss. Without a budget, what
        happens depends on seed and epoch alone.
        """
        settings, epoch, ranks, drawing = self.settings, self.epoch, self.ranks, self.settings.drawing()
        steps = settings.per_epoch // settings.batch
        order = epoch_order(data.labels[:, 0], settings.per_epoch, seed=self.seed, epoch=epoch, twice=twice)
        batches = [order[at * settings.batch : (at + 1) * settings.batch] for at in range(steps)]
        torch.manual_seed(self.seed * 1000 + epoch)
        self.network.train()
        keep_norms_still(self.network)
        losses = []
        # The next batch is drawn while the network learns from this one.
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(training_batch, data, batches[0], drawing, (self.seed, epoch, 0), ranks)
            for step in range(steps):
                batch = coming.result()
                if step + 1 < steps:
                    key = (self.seed, epoch, step + 1)
                    coming = ahead.submit(training_batch, data, batches[step + 1], drawing, key, ranks)
                done, of = epoch * steps + step, settings.epochs * steps
                learnt = ranks.first(self.clock.learnt)
                rate = settings.learning_rate * schedule(max(done / of, learnt))
                batch = batch.to(ranks.device)
                losses.append(
                    learn(
                        self.learner,
                        self.optimiser,
                        batch,
                        harder(self.network, batch),
                        rate=rate,
                        research_weight=settings.research_weight,
                        ranks=ranks,
                    )
                )
                update_average(self.average, self.network, decay=settings.average, step=done)
                report(sentence("Fine-tuning"), (done + 1) * settings.batch, of * settings.batch)
                if (step + 1) % _TOLD_EVERY == 0 or step + 1 == steps:
                    log(
                        event="step",
                        step=done + 1,
                        of=of,
                        loss=round(float(np.mean(losses[-_TOLD_EVERY:])), 4),
                    )
                if learnt >= 1:
                    break
        self.epoch += 1
        return float(np.mean(losses))

    def judge(self) -> dict[str, float]:
        """AUC of the averaged weights on the select patients, plain, under stress and with each image in the
        frame that serves it worst; the best are remembered.
        """
        truth = self.select.labels[:, 0]

        def logits(images: NDArray[np.uint8]) -> NDArray[np.float64]:
            own = images[self.ranks.own(len(images))]
            said = network_logits(self.average, own)[:, 0] if len(own) else np.empty(0)
            return self.ranks.whole(torch.from_numpy(said), len(images)).cpu().numpy()

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
            "clock": self.clock.state(),
        }
        torch.save(state, unfinished)
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True, map_location=self.ranks.device)
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.epoch, self.best, self.best_state = saved["epoch"], saved["best"], saved["best_state"]
        if "clock" in saved:
            self.clock.go_on(saved["clock"])


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
