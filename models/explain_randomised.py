"""The sanity check of Adebayo et al., "Sanity Checks for Saliency Maps" (NeurIPS 2018): when what the network
learnt is taken out of its weights, its maps must change.

A map that stays the same shows the picture's edges or its middle, not what the network has learnt.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from safetensors.torch import load
from torch import nn

from models.bundle_file import WEIGHTS
from models.figures import Array
from models.frame import brought_back
from models.network import LITE0_STAGES, Network
from models.preprocess import Float

_BATCH = 32
HEADS = 64
"""Random heads that are tried."""


def network_of(members: Mapping[str, bytes], *, findings: int) -> Network:
    """The network in a bundle's members, in fp32, ready to answer."""
    state = load(members[WEIGHTS])
    own = {
        name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")
    }
    network = Network(findings)
    network.load_state_dict(own or state, strict=True)  # format 1 held the network alone
    return network.eval().to(memory_format=torch.channels_last)


def layers(network: Network) -> dict[str, nn.Module]:
    """The network's parts by their names, from the head down to the stem."""
    stages, first = [], 0
    for number, stage in enumerate(LITE0_STAGES, start=1):
        blocks = network.blocks[first : first + stage.repeats]
        stages.append((f"stage {number}", blocks))
        first += stage.repeats
    return {"head": network.head, "last": network.last, **dict(reversed(stages)), "stem": network.stem}


@torch.no_grad()
def randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Every weight drawn anew with the spread that the layer's weights had; norms become plain ones that take
    their statistics from the batch, for those they hold belong to the old weights.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            spread = float(part.weight.std())
            part.weight.normal_(0, spread, generator=generator)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
            part.train()


@torch.inference_mode()
def maps_of(network: Network, pictures: Float, *, half: bool = False) -> Float:
    """Maps of the first finding, float32 (n, h, w), of prepared pictures (n, 1, side, side); ``half``: bf16,
    for a third of the work.
    """
    said = []
    for first in range(0, len(pictures), _BATCH):
        batch = torch.from_numpy(pictures[first : first + _BATCH]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            said.append(network(batch)[:, 0].float().numpy())
    return np.concatenate(said)


@torch.inference_mode()
def pooled_logits(network: Network, pictures: Float) -> Array:
    """Logits of the first finding, (n,), by pooling the features first: without any map."""
    said = [
        network.logits(torch.from_numpy(pictures[first : first + _BATCH]))[:, 0].double().numpy()
        for first in range(0, len(pictures), _BATCH)
    ]
    return np.concatenate(said)


def rank_correlation(one: Float, other: Float) -> Array:
    """Spearman's correlation of each pair of maps (n, h, w), (n,); 0 where a map is the same everywhere."""
    ranks = [_ranks(maps.reshape(len(maps), -1)) for maps in (one, other)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    return np.asarray((centred[0] * centred[1]).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def randomised_correlations(
    network: Network,
    pictures: Float,
    *,
    seeds: Sequence[int],
    on_pass: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, Array]]:
    """For ``cascading`` (from the head down to this layer) and ``independent`` (this layer alone): by layer
    the correlation of each picture's map with its true one, (n,), without its sign, the mean over the seeds.

    Without its sign, because a random head turns the same pattern as often upside down as not, and a map that
    only ever shows that pattern would come out at nought.
    """
    true = maps_of(network, pictures, half=True)
    names = list(layers(network))
    sums = {kind: {name: np.zeros(len(pictures)) for name in names} for kind in ("cascading", "independent")}
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        cascading = copy.deepcopy(network)
        for name in names:
            randomise(layers(cascading)[name], generator)
            alone = copy.deepcopy(network)
            randomise(layers(alone)[name], generator)
            for kind, changed in (("cascading", cascading), ("independent", alone)):
                maps = maps_of(changed, pictures, half=True)
                sums[kind][name] += np.abs(rank_correlation(true, maps)) / len(seeds)
                on_pass()
    head = random_heads(network, pictures, true)
    return {kind: by_layer | {"head": head} for kind, by_layer in sums.items()}


@torch.inference_mode()
def random_heads(network: Network, pictures: Float, true: Float) -> Array:
    """As `randomised_correlations` for the head alone, over many heads: one differs much from the next, and
    all share the features.
    """
    features = network.features(torch.from_numpy(pictures).to(memory_format=torch.channels_last))
    generator = torch.Generator().manual_seed(0)
    spread = float(network.head.weight.std())
    heads = torch.randn(HEADS, features.shape[1], generator=generator) * spread
    maps = torch.einsum("kc,nchw->nkhw", heads, features)
    if network.margin:
        maps = brought_back(maps, float(network.margin))
    return np.asarray(
        np.mean([np.abs(rank_correlation(true, one)) for one in maps.numpy().swapaxes(0, 1)], axis=0)
    )


def _ranks(values: Float) -> Array:
    """Ranks within each row, ties sharing their mean."""
    out = np.empty(values.shape)
    for row, line in enumerate(values):
        _, inverse, counts = np.unique(line, return_inverse=True, return_counts=True)
        out[row] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return out
