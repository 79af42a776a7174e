"""Frozen ImageNet features and a linear head on them: all of quick training, and where thorough training
starts.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.export import openvino_model
from models.network import FEATURES, Network, imagenet_network
from models.preprocess import Float

_BATCH = 32
_SHARE = 8
"""Pictures in one pass of a stream: with more a stream is no faster, with fewer it is slower."""
_AHEAD = 4
"""Batches that are prepared before they are asked for."""


class FrozenFeatures:
    """A network's features of prepared images, through OpenVINO: several times as fast as torch on a
    processor. Without a network, ImageNet's.
    """

    def __init__(self, network: Network | None = None, *, side: int, threads: int) -> None:
        class Pooled(nn.Module):
            def __init__(self, network: Network) -> None:
                super().__init__()
                self.network = network

            def forward(self, x: Tensor) -> Tensor:
                return self.network.features(x).mean(dim=(2, 3))

        pooled = Pooled(copy.deepcopy(network or imagenet_network(1))).eval()
        model = openvino_model(pooled, side=side)
        # Independent streams of one thread each: streams of several wait for each other in every layer.
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": str(threads),
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._free: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(threads):
            self._free.put(compiled.create_infer_request())
        self._threads = threads

    def of(
        self, batches: Callable[[int, int], Float], count: int, *, on_images: Callable[[int], None]
    ) -> Float:
        """Features, float32 (count, 1280); ``batches(first, last)`` prepares images as float32 (last - first,
        1, side, side), in another thread, while the network is at work on those before.
        """
        out = np.empty((count, FEATURES), np.float32)

        def infer(pictures: Float, first: int) -> None:
            # Not openvino.AsyncInferQueue: its threads need the interpreter's lock to give back what they
            # called, and a network that ends with the lock in hand waits for its threads, for ever.
            request = self._free.get()
            try:
                request.infer([pictures])
                out[first : first + len(pictures)] = request.get_output_tensor(0).data
            finally:
                self._free.put(request)

        coming: deque[tuple[int, Future[Float]]] = deque()
        seen: deque[tuple[int, list[Future[None]]]] = deque()
        starts = iter(range(0, count, _BATCH))
        with ThreadPoolExecutor(self._threads) as drawing, ThreadPoolExecutor(self._threads) as network:

            def prepare_next() -> None:
                first = next(starts, None)
                if first is not None:
                    coming.append((first, drawing.submit(batches, first, min(first + _BATCH, count))))

            def await_one() -> None:
                images, shares = seen.popleft()
                for share in shares:
                    share.result()
                on_images(images)

            for _ in range(_AHEAD):
                prepare_next()
            while coming:
                first, prepared = coming.popleft()
                pictures = prepared.result()
                prepare_next()
                shares = range(0, len(pictures), _SHARE)
                given = [network.submit(infer, pictures[at : at + _SHARE], first + at) for at in shares]
                seen.append((len(pictures), given))
                if len(seen) > 1:
                    await_one()
            while seen:
                await_one()
        return out

    def of_prepared(self, prepared: Float, *, on_images: Callable[[int], None]) -> Float:
        """The same for pictures that are all there, float32 (n, 1, side, side)."""
        return self.of(lambda first, last: prepared[first:last], len(prepared), on_images=on_images)


def fit_head(
    features: Float, labels: NDArray[np.float32], *, penalty: float = 0.01
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (findings, 1280) and bias (findings,) of logistic regression, each finding's classes weighted to
    be equal.

    ``penalty`` is on the squared weights of standardised features. The answer does not depend on a seed.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs = torch.from_numpy((features - mean) / spread)
    targets = torch.from_numpy(labels)
    share = targets.mean(dim=0).clamp(1e-6, 1 - 1e-6)
    weight = torch.where(targets > 0.5, 0.5 / share, 0.5 / (1 - share))
    head = torch.zeros(labels.shape[1], features.shape[1], requires_grad=True)
    bias = torch.zeros(labels.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([head, bias], max_iter=80, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        scores = inputs @ head.T + bias
        losses = functional.binary_cross_entropy_with_logits(scores, targets, weight=weight, reduction="none")
        loss = losses.mean(dim=0).sum() + penalty * (head**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    scaled = head.detach().numpy() / spread
    return scaled.astype(np.float32), (bias.detach().numpy() - scaled @ mean).astype(np.float32)
