"""The network through torch: on a GPU, and in tests on a processor. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import nn

from models.bundle_file import WEIGHTS
from models.network import Network
from models.preprocess import Float
from models.runtime import Look, look_of
from models.served import Appearance, Embedding, Familiarity, Served

_PARTS = ("network.", "familiarity.", "embedding.", "appearance.")
"""Of `Served`, in the order of what it gives."""


def gpu_available() -> bool:
    """Whether torch sees a GPU."""
    return bool(torch.cuda.is_available())


def served_of(members: Mapping[str, bytes], *, findings: int) -> tuple[Served, int]:
    """The module of a bundle's weights, in fp32, and how many of its outputs the bundle carries: older
    formats lack the last, which are left empty and mean nothing.
    """
    weights = load(members[WEIGHTS])
    if not any(name.startswith("network.") for name in weights):  # format 1 held the network alone
        weights = {f"network.{name}": tensor for name, tensor in weights.items()}
    carried = [part for part in _PARTS if any(name.startswith(part) for name in weights)]
    heads = weights.get("appearance.weight")
    appearance = nn.Identity() if heads is None else Appearance(heads.shape[1])
    served = Served(Network(findings), Familiarity(), Embedding(), appearance)
    outputs = len(carried)
    absent = {
        name: tensor for name, tensor in served.state_dict().items() if name.startswith(_PARTS[outputs:])
    }
    served.load_state_dict(absent | weights, strict=True)
    return served.eval(), outputs


class TorchRuntime:
    """The network through torch, from the same weights, channels last: in bf16 if ``half``, else in fp32."""

    def __init__(
        self, members: Mapping[str, bytes], *, findings: int, device: str, half: bool = False
    ) -> None:
        self._device = torch.device(device)
        served, self._outputs = served_of(members, findings=findings)
        self._network = served.to(self._device).to(memory_format=torch.channels_last)
        self._half = half
        self.name = f"torch/{self._device.type} {'bf16' if self._half else 'fp32'}"
        self.conditions: dict[str, str | int] = {
            "library": f"torch {torch.__version__}",
            "device": torch.cuda.get_device_name(self._device) if device == "cuda" else "processor",
            "threads": torch.get_num_threads(),
        }

    def look(self, batch: Float) -> Look:
        images = torch.from_numpy(np.ascontiguousarray(batch)).to(
            self._device, memory_format=torch.channels_last
        )
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._half),
        ):
            said = self._network(images)[: self._outputs]
        seen: list[NDArray[np.float32]] = [tensor.float().cpu().numpy() for tensor in said]
        return look_of(seen)
