"""What anybody would write first: pydicom or Pillow, then the network in torch, eagerly, image by image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load

from models.bundle import default_bundle_path
from models.bundle_file import MANIFEST, WEIGHTS, unseal
from models.manifest import from_json
from models.network import Network


def plain_network() -> Callable[[NDArray[np.float32]], list[float]]:
    """Probability-like answers for prepared images, float32 (n, 1, side, side), in torch, fp32, eagerly."""
    members, sha256 = unseal(default_bundle_path())
    manifest = from_json(members[MANIFEST], sha256=sha256)
    network = Network(len(manifest.findings))
    weights = load(members[WEIGHTS])
    own = "network."  # the distance from the training images is no part of what a plain loop would run
    network.load_state_dict(
        {name.removeprefix(own): weights[name] for name in weights if name.startswith(own)}
    )
    network.eval()

    def answer(batch: NDArray[np.float32]) -> list[float]:
        with torch.inference_mode():
            maps = network(torch.from_numpy(batch))
        return [float(value) for value in torch.sigmoid(maps.sum(dim=(2, 3))[:, 0])]

    return answer


@lru_cache(maxsize=1)
def _side() -> int:
    members, sha256 = unseal(default_bundle_path())
    return from_json(members[MANIFEST], sha256=sha256).input_size


def plain_input(grey: NDArray[Any]) -> NDArray[np.float32]:
    """One grey image as most would prepare it: Pillow's squash, scaled; float32 (1, 1, side, side)."""
    side = _side()
    squashed = Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR)
    return ((np.asarray(squashed, dtype=np.float32) - 127) / 128)[None, None]


def plain_pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels of a JPEG through Pillow, those of a DICOM through pydicom, as 8-bit grey."""
    if path.suffix != ".dcm":
        return np.asarray(Image.open(path).convert("L"))
    pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)
    return np.asarray(255 * pixels / max(1.0, float(pixels.max())), dtype=np.uint8)
