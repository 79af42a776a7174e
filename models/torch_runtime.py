"""The network through torch: on a GPU, and in tests on a processor. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from models.bundle_file import WEIGHTS
from models.network import Network
from models.preprocess import Float


def gpu_available() -> bool:
    """Whether torch sees a GPU."""
    return bool(torch.cuda.is_available())


class TorchRuntime:
    """The network through torch, from the same weights: on a GPU in bf16, channels last; on a processor in
    fp32.
    """

    def __init__(self, members: Mapping[str, bytes], *, findings: int, device: str) -> None:
        self._device = torch.device(device)
        network = Network(findings)
        network.load_state_dict(load(members[WEIGHTS]), strict=True)
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)
        self._half = self._device.type == "cuda"
        self.name = f"torch/{self._device.type} {'bf16' if self._half else 'fp32'}"

    def maps(self, batch: Float) -> Float:
        images = torch.from_numpy(np.ascontiguousarray(batch)).to(
            self._device, memory_format=torch.channels_last
        )
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._half),
        ):
            maps = self._network(images)
        result: NDArray[np.float32] = maps.float().cpu().numpy()
        return result
