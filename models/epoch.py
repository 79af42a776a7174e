"""What one epoch shows the network: which pictures in which order, drawn hard, some of them twice so that the
harder of the two can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.augment import training_picture
from models.dataset import Labelled
from models.preprocess import Float
from models.ranks import Ranks

BORROWED = 64
"""Pictures a batch may borrow surroundings and tone from: half with the finding and half without, so that
what is borrowed tells nothing of the label."""


@dataclass(frozen=True)
class Drawing:
    """How the pictures of an epoch are drawn."""

    batch: int
    rivals: float
    """Share of the pictures that are drawn twice."""
    mixup: float
    """Share of batches whose pictures are mixed in pairs."""
    label_smoothing: float
    mild: float = 0.0
    """Share of the pictures that are drawn at `MILD` strength, much as they arrive."""
    swapped: float = 0.0
    """Share of the pictures in which left and right are swapped."""


_ASIDE = 1_000_000

MILD = 0.3
"""Of full strength: changes come a third as often, and framing moves a third as far."""


@dataclass(frozen=True)
class Batch:
    """One process's pictures, float32 (n, 1, side, side), with soft targets, float32 (n, findings)."""

    pictures: Tensor
    targets: Tensor
    rivals: Tensor
    """Other drawings, (m, 1, side, side), of the first m pictures."""
    mix_share: float
    """Weight of a picture in its mixture with its partner; 1 leaves it alone."""
    partner: NDArray[np.intp]
    """Of every picture of the batch, whichever process has it."""

    def to(self, device: torch.device) -> Batch:
        """The batch where the network is."""
        return replace(
            self,
            pictures=self.pictures.to(device),
            targets=self.targets.to(device),
            rivals=self.rivals.to(device),
        )

    def mixed(self, pictures: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor]:
        """The pictures and their targets, mixed in pairs where this batch is."""
        share, of = self.mix_share, len(self.partner)
        if share == 1:
            return pictures, self.targets
        partner = self.partner[ranks.own(of)]
        return (
            share * pictures + (1 - share) * ranks.whole(pictures, of)[partner],
            share * self.targets + (1 - share) * ranks.whole(self.targets, of)[partner],
        )


def epoch_order(
    truth: NDArray[np.float32],
    count: int,
    *,
    seed: int,
    epoch: int,
    twice: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Which pictures an epoch shows, in order: half with the finding and half without, each list gone through
    before it repeats; those in ``twice`` stand in their list twice.
    """
    chosen = []
    for label in (0, 1):
        members = np.flatnonzero((truth > 0.5) == bool(label))
        if twice is not None:
            members = np.repeat(members, 1 + twice[members].astype(int))
        wanted, start = count // 2, epoch * (count // 2)
        rounds = range(start // len(members), (start + wanted - 1) // len(members) + 1)
        stream = np.concatenate(
            [np.random.default_rng((seed, label, turn)).permutation(members) for turn in rounds]
        )
        offset = start - rounds.start * len(members)
        chosen.append(stream[offset : offset + wanted])
    return np.random.default_rng((seed, epoch)).permutation(np.concatenate(chosen))


def training_batch(
    data: Labelled, chosen: NDArray[np.intp], drawing: Drawing, key: tuple[int, int, int], ranks: Ranks
) -> Batch:
    """The chosen pictures drawn hard, of them this process's; what comes out depends on the key alone."""
    draw = np.random.default_rng(key)
    lenders = data.images[lending(data.labels[:, 0], draw)]

    # Drawn apart from the rest, which stays the same whether or not these are asked for.
    aside = np.random.default_rng((*key, _ASIDE))
    mild = aside.random(len(chosen)) < drawing.mild
    swapped = aside.random(len(chosen)) < drawing.swapped

    def picture(position: int, turn: int) -> Float:
        image = data.images[chosen[position]]
        return training_picture(
            image[:, ::-1] if swapped[position] else image,
            lenders,
            np.random.default_rng((*key, position, turn)),
            strength=MILD if mild[position] else 1.0,
        )

    def drawn(count: int, turn: int) -> Tensor:
        pictures = [picture(position, turn) for position in ranks.own(count)]
        side = data.images.shape[1]
        return torch.from_numpy(np.array(pictures, dtype=np.float32).reshape(-1, 1, side, side))

    smoothing = drawing.label_smoothing
    targets = data.labels[chosen[ranks.own(len(chosen))]] * (1 - smoothing) + 0.5 * smoothing
    share = float(draw.beta(0.4, 0.4)) if draw.random() < drawing.mixup else 1.0
    return Batch(
        pictures=drawn(len(chosen), 0),
        targets=torch.from_numpy(targets.astype(np.float32)),
        rivals=drawn(round(len(chosen) * drawing.rivals), 1),
        mix_share=share,
        partner=draw.permutation(len(chosen)),
    )


def lending(truth: NDArray[np.float32], draw: np.random.Generator) -> NDArray[np.intp]:
    """Pictures to borrow from, as many with the finding as without."""
    return np.concatenate(
        [draw.choice(np.flatnonzero((truth > 0.5) == present), BORROWED // 2) for present in (True, False)]
    )
