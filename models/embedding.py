"""A short description of an image by which its like are found among those already signed.

The fine-tuned network's own pooled features along the directions in which the training images differ most
(principal components, largest first), each shrunk by the root of its spread, then scaled to length 1: what
the network takes for alike lies close by cosine. Unshrunk, the direction of the finding alone would be 86% of
everything, and any two sick chests the same.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models.dataset import Labelled
from models.measured import Measured
from models.network import Network
from models.served import EMBEDDING, Embedding


class _Pooled(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x).mean(dim=(2, 3))


def fit_embedding(network: Network, data: Labelled, *, threads: int) -> Embedding:
    """The description fitted on these images as the network sees them."""
    was_training = network.training
    pooled = Measured(_Pooled(network), side=data.images.shape[1], threads=threads).of(data.images)
    network.train(was_training)
    mean = pooled.mean(axis=0, dtype=np.float64)
    spread = (pooled - mean).T @ (pooled - mean) / len(pooled)
    values, vectors = np.linalg.eigh(spread)
    directions = vectors[:, ::-1][:, :EMBEDDING]
    values = values[::-1][:EMBEDDING]
    # Fewer images than directions leave some in which nothing differs: they are rounding, and say nothing.
    stirs = values > 1e-9 * values[0]
    directions = (
        directions * np.where(stirs, np.maximum(values, 1e-9 * values[0]) / values[0], np.inf) ** -0.25
    )
    # An eigenvector's sign is the solver's whim: the largest entry is made positive, so that the same network
    # and images give the same description.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(EMBEDDING)])
    embedding = Embedding()
    with torch.no_grad():
        embedding.centre.copy_(torch.from_numpy(mean.astype(np.float32)))
        embedding.projection.copy_(torch.from_numpy(directions.astype(np.float32)))
    return embedding
