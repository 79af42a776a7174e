"""Quick training: a head on frozen ImageNet features, and where thorough training starts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from models.augment import training_picture
from models.dataset import Labelled
from models.epoch import lending
from models.features import FrozenFeatures, fit_head
from models.network import Network
from models.preprocess import Float
from models.stress import network_input

COPIES = 2
"""Hard drawings of every picture beside the picture as it is."""


def fit_frozen(
    network: Network,
    data: Labelled,
    *,
    seed: int,
    threads: int,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Give the network's head the best weights for frozen features of every picture as it is and in some hard
    copies.
    """
    frozen = FrozenFeatures(side=data.images.shape[1], threads=threads)
    total = len(data) * (1 + COPIES)
    done = 0

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        report("Frozen features", done, total)

    def prepared(copy: int) -> Callable[[int, int], Float]:
        def batch(first: int, last: int) -> Float:
            if copy == 0:
                return network_input(data.images[first:last])
            draws = [np.random.default_rng((seed, copy, index)) for index in range(first, last)]
            lenders = data.images[lending(data.labels[:, 0], np.random.default_rng((seed, copy, first)))]
            pictures = [
                training_picture(image, lenders, draw)
                for image, draw in zip(data.images[first:last], draws, strict=True)
            ]
            return np.stack(pictures)[:, None]

        return batch

    features = np.concatenate(
        [frozen.of(prepared(copy), len(data), on_images=on_images) for copy in range(1 + COPIES)]
    )
    weight, bias = fit_head(features, np.tile(data.labels, (1 + COPIES, 1)))
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
