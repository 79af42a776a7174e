"""The occlusion map of held-out patients, and what is left of it once the network's weights are random."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.explain_figures import Asked
from models.explain_randomised import HEADS, layers, randomise, rank_correlation
from models.measured import Measured
from models.network import Network
from models.occlusion import Logit, exchanged, from_logits, healthy_on, occlusion_map
from models.preprocess import Float


def occlusion_maps(asked: Asked, healthy: Float, logit: Logit, *, on_image: Callable[[], None]) -> Float:
    """Float32 (n, CELLS, CELLS), as readers are given them; ``healthy`` is the bundle's healthy chest."""
    found = []
    for picture, thorax in zip(asked.pictures[:, 0], asked.thoraces, strict=True):
        found.append(occlusion_map(picture, healthy_on(healthy, thorax), logit))
        on_image()
    return np.stack(found)


def randomised_occlusion(
    network: Network,
    asked: Asked,
    healthy: Float,
    *,
    count: int,
    seeds: Sequence[int],
    on_image: Callable[[], None],
) -> dict[str, Any]:
    """As `models.explain_randomised` for the occlusion map of the first so many images: mean rank correlation
    with the true maps, without signs, of random heads and of random weights throughout; and that of other
    patients' maps.
    """
    pooled = Measured(_Pooled(network), side=asked.pictures.shape[-1], threads=torch.get_num_threads())
    generator = torch.Generator().manual_seed(0)
    spread = float(network.head.weight.detach().std())
    heads = (torch.randn(HEADS, network.head.in_features, generator=generator) * spread).numpy()
    own = network.head.weight[0].detach().numpy()
    strangers = [_randomised(network, seed) for seed in seeds]
    true, by_heads, throughout = [], [], []
    for picture, thorax in zip(asked.pictures[:count, 0], asked.thoraces[:count], strict=True):
        pictures = exchanged(picture, healthy_on(healthy, thorax))
        features = pooled.of_prepared(pictures)
        mine = from_logits(features @ own[:, None])
        true.append(mine[0])
        by_heads.append(_alike(mine, from_logits(features @ heads.T)))
        throughout.append(_alike(mine, np.concatenate([_map_of(other, pictures) for other in strangers])))
        on_image()
    maps = np.stack(true)
    others = float(np.abs(rank_correlation(maps, np.roll(maps, 1, axis=0))).mean())
    return {
        "images": len(maps),
        "of_other_patients": round(others, 4),
        "cascading": {
            "head": round(float(np.mean(by_heads)), 4),
            "stem": round(float(np.mean(throughout)), 4),
        },
    }


class _Pooled(nn.Module):
    """Prepared pictures to pooled features, (n, 1280): a head's logit but for its weights and bias."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x).mean(dim=(2, 3))


def _randomised(network: Network, seed: int) -> Network:
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    for layer in layers(other).values():
        randomise(layer, generator)
    return other


@torch.inference_mode()
def _map_of(network: Network, pictures: Float) -> Float:
    """All in one batch: its norms take their statistics from it."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        batch = torch.from_numpy(pictures).to(memory_format=torch.channels_last)
        said = network.logits(batch)[:, :1].float().numpy()
    return from_logits(said)


def _alike(true: Float, others: Float) -> float:
    return float(np.abs(rank_correlation(np.repeat(true, len(others), axis=0), others)).mean())
