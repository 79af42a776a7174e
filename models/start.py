"""Training that goes on from a bundle: its weights are where the network starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from models.bundle_file import MANIFEST, WEIGHTS, unseal
from models.examples import DatasetRefused
from models.manifest import from_json
from models.network import Network


def start_from(
    network: Network, bundle: Path, *, findings: tuple[str, ...], images: dict[str, Any], seed: int
) -> None:
    """The network has the bundle's weights, and no margin.

    Raises DatasetRefused where the bundle was trained on other data, another seed or for other findings: its
    patients would be among those that are to judge. Raises `BundleRefused` for a file that is none.
    """
    members, sha256 = unseal(bundle)
    manifest = from_json(members[MANIFEST], sha256=sha256)
    if tuple(finding.name for finding in manifest.findings) != findings:
        raise DatasetRefused(f"{bundle.name} knows other findings than the data; start from another bundle.")
    told = manifest.provenance
    if (told.get("seed"), told.get("images")) != (seed, images):
        raise DatasetRefused(
            f"{bundle.name} was trained on other data or with another seed, so that patients it has learnt "
            "from would judge what comes out. Start from a bundle of the same data and seed."
        )
    weights = {name.removeprefix("network."): tensor for name, tensor in load(members[WEIGHTS]).items()}
    own = network.state_dict()
    with torch.no_grad():
        network.load_state_dict(own | {name: weights[name].float() for name in own if name in weights})
        network.margin.zero_()
