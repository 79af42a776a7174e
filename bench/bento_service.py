"""The competitor of `bench/throughput.py`: BentoML with adaptive batching around the same network in torch.

Run by the bench in a virtual environment of its own. Two workers take the uploaded file, decode and prepare
it with Pillow; one has the network and answers batches. Nothing is stored.
"""

# No deferred annotations here: BentoML reads them when the classes are made.

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import torch
from bentoml.validators import ContentType

from bench.plain import plain_input, plain_network, plain_pixels


@bentoml.service(workers=1, traffic={"timeout": 120})
class PlainNetwork:
    """The network, with a torch thread for each core."""

    def __init__(self) -> None:
        torch.set_num_threads(2)
        self._answer = plain_network()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=16, max_latency_ms=60_000)
    def read(self, batch: np.ndarray) -> np.ndarray:
        """Answers for prepared images."""
        return np.asarray(self._answer(batch.astype(np.float32)), dtype=np.float32)


@bentoml.service(workers=2, traffic={"timeout": 120})
class Reader:
    """The door: one file to a request."""

    network = bentoml.depends(PlainNetwork)

    @bentoml.api
    async def read(self, image: Annotated[Path, ContentType("image/jpeg")]) -> float:
        """The answer for one uploaded file."""
        answers = await self.network.to_async.read(plain_input(plain_pixels(image)))
        return float(answers[0])
