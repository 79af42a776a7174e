"""Training that goes on from a bundle: its weights are where the network starts, and quick training keeps all
of them but those of the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from models.beside import Beside
from models.bundle_file import HEALTHY_CHEST, WEIGHTS, read_bundle
from models.dataset import Labelled
from models.examples import DatasetRefused
from models.manifest import Manifest
from models.network import Network
from models.parts import CALIBRATE, SELECT, TRAIN, describe, parts_of
from models.served import Appearance, Embedding, Familiarity
from models.trained_patients import calibrated_by, taught_by, trained_member


@dataclass(frozen=True)
class Start:
    """A bundle from which training goes on."""

    manifest: Manifest
    members: Mapping[str, bytes]

    @classmethod
    def read(cls, bundle: Path) -> Start:
        """The bundle in the file; raises `BundleRefused` for one that this program may not use."""
        members, manifest = read_bundle(bundle)
        return cls(manifest, members)

    @property
    def name(self) -> str:
        return f"{self.manifest.name} {self.manifest.version}"

    def parts(self, data: Labelled, *, seed: int, choosing: bool) -> NDArray[np.int_]:
        """The parts of the data (`models.parts`), so that nobody the bundle has learnt from judges.

        Raises `DatasetRefused` as `learnt_from` does.
        """
        same = self._own_parts(data) if self.manifest.provenance.get("seed") == seed else None
        if same is not None:
            return same
        return parts_of(data, seed=seed, taught=self.learnt_from(data), choosing=choosing)

    def learnt_from(self, data: Labelled) -> NDArray[np.bool_]:
        """For each image whether the bundle has learnt from its patient: exactly for the data it was trained
        on, and by its marks for others.

        Raises `DatasetRefused` where that cannot be told: the bundle is from before bundles marked their
        patients, and of other data.
        """
        own = self._own_parts(data)
        if own is not None:
            return np.isin(own, (TRAIN, SELECT))
        taught = taught_by(self.members, data.patients)
        if taught is None:
            raise DatasetRefused(
                f"{self.name} was trained on other data or with another seed, and does not say which "
                "patients it has learnt from, so that they might judge what comes out. Start from a bundle "
                "of format 5, or of the same data and seed."
            )
        return taught

    def calibrated_on(self, data: Labelled) -> NDArray[np.bool_] | None:
        """For each image whether the bundle was calibrated on its patient: exactly for the data it was
        trained on, by its marks for others, and None for others where it has no such marks.
        """
        own = self._own_parts(data)
        return calibrated_by(self.members, data.patients) if own is None else np.equal(own, CALIBRATE)

    def held_out(self, data: Labelled) -> Labelled | None:
        """The images on which the bundle was calibrated, if these are the data it was trained on."""
        own = self._own_parts(data)
        return None if own is None else data.take(own == CALIBRATE)

    def _own_parts(self, data: Labelled) -> NDArray[np.int_] | None:
        """The parts in which the bundle was trained, if these are the data."""
        told = self.manifest.provenance
        if "seed" not in told:
            return None
        try:
            own = parts_of(data, seed=int(told["seed"]))
        except DatasetRefused:  # too few patients to be those of any bundle
            return None
        if told.get("images") != describe(data, own):
            return None
        # Equal counts are not yet equal parts: where the bundle marks its patients, all of these are marked.
        marked = taught_by(self.members, data.patients)
        if marked is not None and not marked[np.isin(own, (TRAIN, SELECT))].all():
            return None
        return own

    def give(self, network: Network, *, findings: tuple[str, ...], whole: bool) -> None:
        """The network has the bundle's weights, and no margin; where they are not given ``whole``, its
        features and its margin, and a head of its own, which may be for other findings.

        Raises `DatasetRefused` where the whole is wanted of a bundle that knows other findings.
        """
        if whole and tuple(finding.name for finding in self.manifest.findings) != findings:
            raise DatasetRefused(
                f"{self.name} knows other findings than the data; start from another bundle."
            )
        weights, own = self._weights("network."), network.state_dict()
        given = {
            name: weights[name].float()
            for name in own
            if name in weights and (whole or not name.startswith("head."))
        }
        with torch.no_grad():
            network.load_state_dict(own | given)
            if whole:
                network.margin.zero_()

    def beside(self) -> Beside:
        """What the bundle's pass tells beside its findings, as it is: its features are the same.

        Raises `DatasetRefused` for bundles of formats that told less.
        """
        parts = {name: self._weights(f"{name}.") for name in ("familiarity", "appearance", "embedding")}
        if not all(parts.values()):
            raise DatasetRefused(
                f"{self.name} is of format {self.manifest.format_version}, which has no gate for pixels; "
                "start quick training from a newer bundle."
            )
        familiarity, embedding = Familiarity(), Embedding()
        appearance = Appearance(parts["appearance"]["weight"].shape[1])
        modules = {"familiarity": familiarity, "appearance": appearance, "embedding": embedding}
        for name, module in modules.items():
            stored = {key: tensor.float() for key, tensor in parts[name].items()}
            module.load_state_dict(module.state_dict() | stored)
        return Beside(
            familiarity=familiarity,
            appearance=appearance,
            embedding=embedding,
            appearance_limits=self.manifest.appearance,
            familiarity_limit=self.manifest.familiarity,
            healthy={name: data for name, data in self.members.items() if name == HEALTHY_CHEST},
        )

    def untested_maps(self, finding: str) -> dict[str, Any] | None:
        """What quick training says of the maps instead of testing them: nothing where the bundle's passed in
        one kind, and otherwise that they are withheld. A head on the same features would hardly do better,
        and the test takes minutes.
        """
        told = self.manifest.explanations
        if told.get("passes") or told.get("occlusion_map", {}).get("passes"):
            return None
        why = f"Neither map of {self.name}, whose features these are, passed."
        untested = {"finding": finding, "images": 0, "patients": 0, "passes": False, "failed": [why]}
        return untested | {"occlusion_map": dict(untested)}

    def _weights(self, part: str) -> dict[str, Tensor]:
        stored = load(self.members[WEIGHTS])
        return {name.removeprefix(part): tensor for name, tensor in stored.items() if name.startswith(part)}


def strangers_to(bundles: Sequence[Path], data: Labelled) -> NDArray[np.bool_]:
    """For each image whether none of the bundles has learnt from its patient.

    Raises `DatasetRefused` where one does not say, and `BundleRefused` for a file that is no bundle.
    """
    strangers = np.ones(len(data), np.bool_)
    for path in bundles:
        strangers &= ~Start.read(path).learnt_from(data)
    return strangers


def calibrated_counts(
    bundles: Sequence[Path], data: Labelled, judging: NDArray[np.bool_]
) -> list[int | None]:
    """Of each bundle the number of images that judge on whose patients it was calibrated; None where it does
    not say.
    """
    masks = [Start.read(path).calibrated_on(data) for path in bundles]
    return [None if mask is None else int((mask & judging).sum()) for mask in masks]


def patients_member(data: Labelled, part: NDArray[np.int_], *, start: Start | None) -> dict[str, bytes]:
    """The bundle's marks of the patients it was trained on or chosen by and of those that its start knew, and
    of those it was calibrated on.
    """
    learnt = np.unique(data.patients[(part == TRAIN) | (part == SELECT)])
    calibrated = np.unique(data.patients[part == CALIBRATE])
    return trained_member(
        map(str, learnt), calibrated=map(str, calibrated), before=None if start is None else start.members
    )
