"""How unlike the radiographs of its training an image is: a distance the input gate can hold it against.

Layers of the ImageNet network that were never shown a label see device, posture and build; a Gaussian is laid
through what they say of the training images, as sent and as other rooms would have sent them, and the
distance is Mahalanobis's, as in Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
Samples" (NeurIPS 2018), without classes. Fine-tuned layers do worse at this: they forget what does not serve
the label.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.dataset import Labelled
from models.measured import Measured
from models.network import imagenet_network
from models.served import BLOCKS, Familiarity
from models.stress import MIXED, shifted

WITHHELD_SHARE = 0.01
"""Of images like those of the training that the limit withholds."""
LEAST_IMAGES = 100
"""Below this many held-out images a share of one in a hundred cannot be told."""
_SHIFTS = (0.33, 0.66)
_SHRINKAGE = 0.02


class _Survey(nn.Module):
    def __init__(self, familiarity: Familiarity) -> None:
        super().__init__()
        self.familiarity = familiarity

    def forward(self, x: Tensor) -> Tensor:
        return self.familiarity.survey(self.familiarity.trunk(x))


def fit_familiarity(data: Labelled, *, seed: int, threads: int) -> Familiarity:
    """The distance from these images, each as it is and under two grades of mixed acquisition changes, so
    that another room alone makes no stranger of a child.
    """
    familiarity = Familiarity()
    published = imagenet_network(1)
    familiarity.stem.load_state_dict(published.stem.state_dict())
    familiarity.blocks.load_state_dict(published.blocks[:BLOCKS].state_dict())
    survey = Measured(_Survey(familiarity), side=data.images.shape[1], threads=threads)
    copies = [shifted(data.images, change=MIXED, strength=grade, seed=seed) for grade in _SHIFTS]
    surveys = np.concatenate([survey.of(images) for images in (data.images, *copies)]).astype(np.float64)
    mean, spread = surveys.mean(axis=0), surveys.std(axis=0)
    # A channel that hardly stirs in training must not decide, nor its weight overflow half precision.
    spread = np.maximum(spread, 0.01 * np.median(spread) + 1e-6)
    values, vectors = np.linalg.eigh(np.cov(((surveys - mean) / spread).T))
    shrunk = (1 - _SHRINKAGE) * np.maximum(values, 0) + _SHRINKAGE * values.mean()
    with torch.no_grad():
        familiarity.centre.copy_(torch.from_numpy(mean.astype(np.float32)))
        whitening = vectors / np.sqrt(shrunk) / spread[:, None]
        familiarity.whitening.copy_(torch.from_numpy(whitening.astype(np.float32)))
    return familiarity


def limit_of(distances: NDArray[np.generic]) -> float | None:
    """The distance that one in a hundred of these held-out images exceeds; None where they are too few to
    tell.
    """
    if len(distances) < LEAST_IMAGES:
        return None
    return float(np.quantile(np.asarray(distances, dtype=np.float64), 1 - WITHHELD_SHARE))
