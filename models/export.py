"""From a trained network to the members of a bundle: OpenVINO IR in fp16, and the same weights for torch."""

from __future__ import annotations

import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from models.bundle_file import IR_BIN, IR_XML, WEIGHTS
from models.network import Network
from models.runtime import agreement_batch
from models.served import Served

OUTPUTS = ("activation_map", "distance", "embedding", "appearance")
AGREEMENT_PHANTOMS = 6
AGREEMENT_SEED = 20_260


def network_members(served: Served, *, side: int) -> dict[str, bytes]:
    """network.xml, network.bin and weights.safetensors; the batch is left open, the side is fixed."""
    served = copy.deepcopy(served).float().eval()
    model = openvino_model(served.to(memory_format=torch.contiguous_format), side=side)
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / IR_XML
        openvino.save_model(model, path, compress_to_fp16=True)
        xml, binary = path.read_bytes(), (Path(folder) / IR_BIN).read_bytes()
    # Half precision here too, so that both runtimes start from the same numbers; running statistics keep
    # their range in fp32.
    state = {
        name: tensor.half().contiguous()
        if tensor.ndim > 1 and name.endswith(("weight", "projection"))
        else tensor.contiguous()
        for name, tensor in served.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return {IR_XML: xml, IR_BIN: binary, WEIGHTS: save(state)}


def openvino_model(module: nn.Module, *, side: int) -> openvino.Model:
    """The module as an OpenVINO model of one input, float32 (any, 1, side, side).

    The trace is not run again to compare it with itself: `agreement_logits` compare the outcome on every
    load.
    """
    with warnings.catch_warnings():
        # OpenVINO reads traces, which torch means to retire in favour of exported programs.
        warnings.simplefilter("ignore", FutureWarning)
        # The margin is a number of the network, not of the pictures: as a constant it is right.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        trace = torch.jit.trace(module, torch.zeros(2, 1, side, side), check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(trace, input=[("x", [-1, 1, side, side])])


def agreement_logits(network: Network, *, side: int) -> NDArray[np.float64]:
    """fp32 logits, (phantoms, findings), that every runtime of this network must reproduce."""
    network = copy.deepcopy(network).float().eval()
    batch = torch.from_numpy(agreement_batch(AGREEMENT_SEED, AGREEMENT_PHANTOMS, side=side))
    with torch.inference_mode():
        logits = network(batch).double().sum(dim=(2, 3)) + network.head.bias.double()
    return np.asarray(logits.numpy(), dtype=np.float64)
