"""One step of fine-tuning, and what it needs: the rate, the harder of two drawings, the running mean."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.epoch import Batch
from models.network import Network
from models.ranks import Ranks


def keep_norms_still(network: Network) -> None:
    """Batch norms keep the ImageNet statistics: the head was fitted to features under these, and a batch of
    drawn pictures would teach them the look of the drawing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def groups(network: Network, *, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, as is usual: norms and biases are left alone."""
    decayed = [tensor for tensor in network.parameters() if tensor.ndim > 1]
    free = [tensor for tensor in network.parameters() if tensor.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def schedule(progress: float) -> float:
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
    with torch.autocast(network.head.weight.device.type, dtype=torch.bfloat16):
        features = network.features(both)
    logits = network.head(features.float().mean(dim=(2, 3)))[:, 0]
    losses = functional.binary_cross_entropy_with_logits(
        logits, batch.targets[:count, 0].repeat(2), reduction="none"
    )
    worse = losses[count:] > losses[:count]
    kept = torch.where(worse[:, None, None, None], batch.rivals, batch.pictures[:count])
    return torch.cat([kept, batch.pictures[count:]])


class Learner(nn.Module):
    """The network as it learns: from this process's pictures of a batch to their logits, in bf16 but for the
    head.
    """

    def __init__(self, network: Network, ranks: Ranks) -> None:
        super().__init__()
        self.network, self._ranks = network, ranks

    def forward(self, pictures: Tensor, of: int) -> Tensor:
        """Logits, (n, findings), of the n pictures that are this process's of ``of`` in all."""
        network = self.network
        with torch.autocast(network.head.weight.device.type, dtype=torch.bfloat16):
            features = network.features(pictures.to(memory_format=torch.channels_last))
        pooled = features.float().mean(dim=(2, 3))
        logits: Tensor = network.head(self._ranks.dropped(network.dropout, pooled, of))
        return logits


def learn(
    learner: nn.Module,
    optimiser: torch.optim.AdamW,
    batch: Batch,
    pictures: Tensor,
    *,
    rate: float,
    research_weight: float,
    ranks: Ranks,
) -> float:
    """One step on the pictures drawn for the batch; the mean loss of the first finding over all of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    pictures, targets = batch.mixed(pictures, ranks)
    logits = learner(pictures, len(batch.partner))
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    losses = ranks.mean(each, len(batch.partner))
    loss = losses[0] + research_weight * losses[1:].sum()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
    optimiser.step()
    return ranks.average(float(losses[0].detach()))


@torch.no_grad()
def update_average(average: Network, network: Network, *, decay: float, step: int) -> None:
    """Move the mean towards the weights; early on faster, so that the start does not linger in it."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)
