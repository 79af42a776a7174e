"""How unlike the radiographs of its training an image is: a distance the input gate can hold it against.

Layers of the ImageNet network that were never shown a label see device, posture and build; a Gaussian is laid
through what they say of the training images, as sent and as other rooms would have sent them, and the
distance is Mahalanobis's, as in Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
Samples" (NeurIPS 2018), without classes. Fine-tuned layers do worse at this: they forget what does not serve
the label.
"""

from __future__ import annotations

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.dataset import Labelled
from models.network import Network, imagenet_network
from models.preprocess import Float
from models.stress import MIXED, network_input, shifted

BLOCKS = 11
"""Of the sixteen blocks; measured with 8, 10, 12 and pairs of them."""
_CHANNELS = 112
SURVEY = 2 * _CHANNELS
WITHHELD_SHARE = 0.01
"""Of images like those of the training that the limit withholds."""
LEAST_IMAGES = 100
"""Below this many held-out images a share of one in a hundred cannot be told."""
_SHIFTS = (0.33, 0.66)
_SHRINKAGE = 0.02
_BATCH = 32


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

    def survey(self, x: Tensor) -> Tensor:
        """Mean and spread of every channel, (n, 224). Half the side does: build and posture are coarse, and
        it is a quarter of the work."""
        y: Tensor = self.blocks(self.stem(functional.avg_pool2d(x, 2)))
        mean = y.mean(dim=(2, 3))
        spread = ((y - mean[:, :, None, None]) ** 2).mean(dim=(2, 3)).add(1e-6).sqrt()
        return torch.cat([mean, spread], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return (((self.survey(x) - self.centre) @ self.whitening) ** 2).mean(dim=1)


class Served(nn.Module):
    """What a bundle carries: prepared images to class activation maps, as `Network` gives them, and
    distances, as `Familiarity` does.
    """

    def __init__(self, network: Network, familiarity: Familiarity) -> None:
        super().__init__()
        self.network, self.familiarity = network, familiarity

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(x), self.familiarity(x)


class _Survey(nn.Module):
    def __init__(self, familiarity: Familiarity) -> None:
        super().__init__()
        self.familiarity = familiarity

    def forward(self, x: Tensor) -> Tensor:
        return self.familiarity.survey(x)


def fit_familiarity(data: Labelled, *, seed: int, threads: int) -> Familiarity:
    """The distance from these images, each as it is and under two grades of mixed acquisition changes, so
    that another room alone makes no stranger of a child.
    """
    # Only training needs the conversion, and a GPU worker that loads this module does not.
    from models.export import openvino_model  # noqa: PLC0415

    familiarity = Familiarity()
    published = imagenet_network(1)
    familiarity.stem.load_state_dict(published.stem.state_dict())
    familiarity.blocks.load_state_dict(published.blocks[:BLOCKS].state_dict())
    familiarity.eval()
    model = openvino_model(_Survey(familiarity).eval(), side=data.images.shape[1])
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def surveyed(images: NDArray[np.uint8]) -> Float:
        said = []
        for first in range(0, len(images), _BATCH):
            request.infer([network_input(images[first : first + _BATCH])])
            said.append(np.array(request.get_output_tensor(0).data, dtype=np.float32))
        return np.concatenate(said)

    copies = [shifted(data.images, change=MIXED, strength=grade, seed=seed) for grade in _SHIFTS]
    surveys = np.concatenate([surveyed(images) for images in (data.images, *copies)]).astype(np.float64)
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
