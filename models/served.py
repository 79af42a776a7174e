"""What a bundle carries, as one module: the network, and beside it what else the same pass tells of an image.

`models.familiarity`, `models.appearance` and `models.embedding` fit what stands here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.network import FEATURES, Network
from models.pixel_gate import LABELS

BLOCKS = 11
"""Of the sixteen blocks of the ImageNet network, the first that the survey passes; measured with 8, 10, 12
and pairs of them.
"""
_CHANNELS = 112
SURVEY = 2 * _CHANNELS
EMBEDDING = 128
"""Numbers in the description of an image by which its like are found."""


class Familiarity(nn.Module):
    """Prepared images, float32 (n, 1, side, side), to their distances, float32 (n,): about 1 for images of
    training, more for others.
    """

    centre: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        network = Network(1)
        self.stem, self.blocks = network.stem, network.blocks[:BLOCKS]
        self.register_buffer("centre", torch.zeros(SURVEY))
        self.register_buffer("whitening", torch.zeros(SURVEY, SURVEY))

    def trunk(self, x: Tensor) -> Tensor:
        """Float32 (n, 112, side / 32, side / 32). Half the side does: build and posture are coarse, and it is
        a quarter of the work.
        """
        y: Tensor = self.blocks(self.stem(functional.avg_pool2d(x, 2)))
        return y

    def survey(self, y: Tensor) -> Tensor:
        """Mean and spread of every channel of the trunk's map, (n, 224)."""
        mean = y.mean(dim=(2, 3))
        spread = ((y - mean[:, :, None, None]) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()
        return torch.cat([mean, spread], dim=1)

    def distance(self, y: Tensor) -> Tensor:
        """The distance from the trunk's map."""
        return (((self.survey(y) - self.centre) @ self.whitening) ** 2).mean(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.distance(self.trunk(x))


class Appearance(nn.Module):
    """The trunk's map, float32 (n, 112, side / 32, side / 32), to logits of `models.pixel_gate.LABELS`,
    float32 (n, 11): where a channel stirs tells what stands where.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(len(LABELS), cells))
        self.register_buffer("bias", torch.zeros(len(LABELS)))

    def forward(self, y: Tensor) -> Tensor:
        return functional.linear(y.flatten(1), self.weight, self.bias)


class Embedding(nn.Module):
    """Pooled features of the network, float32 (n, 1280), to descriptions of length 1, float32 (n, 128): the
    cosine of two is their sum of products.
    """

    centre: Tensor
    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("projection", torch.zeros(FEATURES, EMBEDDING))

    def forward(self, pooled: Tensor) -> Tensor:
        seen = (pooled - self.centre) @ self.projection
        return seen / (seen**2).sum(dim=1, keepdim=True).add(1e-12).sqrt()


class Served(nn.Module):
    """Prepared images, float32 (n, 1, side, side), to class activation maps as `Network` gives them,
    distances as `Familiarity` does, descriptions as `Embedding` does, and logits as `Appearance` does.
    """

    def __init__(
        self, network: Network, familiarity: Familiarity, embedding: Embedding, appearance: nn.Module
    ) -> None:
        super().__init__()
        self.network, self.familiarity = network, familiarity
        self.embedding, self.appearance = embedding, appearance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features, y = self.network.features(x), self.familiarity.trunk(x)
        described = self.embedding(features.mean(dim=(2, 3)))
        return self.network.maps(features), self.familiarity.distance(y), described, self.appearance(y)
