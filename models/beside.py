"""What a bundle's pass tells of an image beside its findings: how unlike the training images it is, what the
gate must know of it, and a description by which its like are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.appearance import appearance_limits, fit_appearance
from models.dataset import Labelled
from models.embedding import fit_embedding
from models.familiarity import WITHHELD_SHARE, fit_familiarity, limit_of
from models.healthy_chest import healthy_member
from models.judge import Report, runtime_distances
from models.network import Network
from models.runtime import Runtime
from models.sentence import sentence
from models.served import Embedding, Familiarity, Served


@dataclass(frozen=True)
class Beside:
    """The parts of `models.served.Served` beside the network, with what a manifest says of them."""

    familiarity: Familiarity
    appearance: nn.Module
    embedding: Embedding
    appearance_limits: Mapping[str, Any]
    healthy: dict[str, bytes]
    """The member with the healthy chest, if there is one."""
    familiarity_limit: Mapping[str, Any] | None = None
    """None until it is measured through what serves."""

    def served(self, network: Network) -> Served:
        """The network with these parts."""
        return Served(network, self.familiarity, self.embedding, self.appearance)

    def limit_of_familiarity(self, serving: Runtime, unseen: Labelled) -> Mapping[str, Any]:
        """What a manifest says of the distance, measured on images that nothing was trained on."""
        if self.familiarity_limit is not None:
            return self.familiarity_limit
        limit = limit_of(runtime_distances(serving, unseen.images))
        return {"limit": limit, "share_beyond": WITHHELD_SHARE, "images": len(unseen)}


def fit_beside(
    network: Network, learning: Labelled, unseen: Labelled, *, seed: int, threads: int, report: Report
) -> Beside:
    """These parts fitted on the images trained on, with the gate's limits set on those that were not."""
    stage = sentence("Fitting the gate")
    report(stage, 0, 2)
    familiarity = fit_familiarity(learning, seed=seed, threads=threads)
    appearance = fit_appearance(familiarity, learning, seed=seed, threads=threads)
    report(stage, 1, 2)
    limits = appearance_limits(familiarity, appearance, unseen, seed=seed, threads=threads)
    report(stage, 2, 2)
    return Beside(
        familiarity=familiarity,
        appearance=appearance,
        embedding=fit_embedding(network, learning, threads=threads),
        appearance_limits=limits,
        healthy=healthy_member(learning, seed=seed),
    )
