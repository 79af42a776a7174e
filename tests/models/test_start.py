"""Training that goes on from a bundle, and pictures drawn mildly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from models.bundle_file import WEIGHTS, unseal
from models.dataset import Labelled
from models.epoch import Drawing, training_batch
from models.examples import DatasetRefused
from models.finetune import FinetuneSettings
from models.manifest import BundleRefused
from models.network import imagenet_network
from models.start import start_from
from models.stress import network_input
from models.train import Paused, TrainingOrder, describe, parts_of, read_data, train
from tests.models.conftest import Trained, quick_order


@pytest.fixture(scope="module")
def labelled(trained: Trained) -> Labelled:
    """The pictures that the bundle was trained on."""
    return read_data(
        quick_order(trained.data, trained.path), read_image=None, patient_of=None, report=_silent
    )


def test_the_network_starts_with_the_bundles_weights_and_no_margin(
    trained: Trained, labelled: Labelled
) -> None:
    images = describe(labelled, parts_of(labelled, seed=7))
    network = imagenet_network(len(labelled.findings))
    network.margin.fill_(0.05)
    start_from(network, trained.path, findings=labelled.findings, images=images, seed=7)
    weights = load(unseal(trained.path)[0][WEIGHTS])
    assert torch.equal(network.head.weight, weights["network.head.weight"].float())
    assert torch.equal(network.stem[0].weight, weights["network.stem.0.weight"].float())
    assert float(network.margin) == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"seed": 8}, "trained on other data or with another seed"),
        ({"images": {}}, "trained on other data or with another seed"),
        ({"findings": ("effusion",)}, "knows other findings"),
    ],
)
def test_a_bundle_whose_patients_would_judge_is_refused(
    trained: Trained, changed: dict[str, object], sentence: str
) -> None:
    told = {
        "findings": tuple(finding.name for finding in trained.manifest.findings),
        "images": trained.manifest.provenance["images"],
        "seed": 7,
    }
    network = imagenet_network(1)
    before = network.head.weight.clone()
    with pytest.raises(DatasetRefused, match=sentence):
        start_from(network, trained.path, **told | changed)
    assert torch.equal(network.head.weight, before)


def test_what_is_no_bundle_is_refused_before_training(drawn: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "x.bundle"
    nonsense.write_bytes(b"not a bundle")
    order = TrainingOrder(data=drawn, out=tmp_path / "y.bundle", mode="thorough", side=96, start=nonsense)
    with pytest.raises(BundleRefused):
        train(order)


def test_thorough_training_goes_on_from_a_bundle(trained: Trained, tmp_path: Path) -> None:
    settings = FinetuneSettings(epochs=2, batch=8, per_epoch=16, mild=0.5, swapped=0.5, minutes=0.0)
    order = replace(
        quick_order(trained.data, tmp_path / "on.bundle"),
        mode="thorough",
        finetune=settings,
        start=trained.path,
    )
    with pytest.raises(Paused):
        train(order)
    saved = torch.load(tmp_path / "on.bundle.training" / "checkpoint.pt", weights_only=True)
    began = load(unseal(trained.path)[0][WEIGHTS])["network.stem.0.weight"].float()
    moved = (saved["network"]["stem.0.weight"] - began).abs().max()
    assert 0 < moved < 0.01


def test_mild_drawings_stay_nearer_to_the_picture_as_it_arrives(labelled: Labelled) -> None:
    chosen = np.arange(24)
    asis = network_input(labelled.images[chosen])

    def away(**shares: float) -> float:
        drawing = Drawing(batch=24, rivals=0, mixup=0, label_smoothing=0, **shares)
        return float(
            np.abs(training_batch(labelled, chosen, drawing, (1, 2, 3)).pictures.numpy() - asis).mean()
        )

    assert away(mild=1.0) < 0.75 * away()
    assert away(mild=1.0) < away(mild=1.0, swapped=1.0)


def test_what_is_drawn_does_not_depend_on_a_share_of_none(labelled: Labelled) -> None:
    """Bundles trained before there were mild drawings can be trained again."""
    drawing = Drawing(batch=8, rivals=0.5, mixup=0, label_smoothing=0)
    batch = training_batch(labelled, np.arange(8), drawing, (7, 0, 0))
    swapped = training_batch(labelled, np.arange(8), replace(drawing, swapped=1.0), (7, 0, 0))
    assert np.array_equal(batch.partner, swapped.partner)
    assert not torch.equal(batch.pictures, swapped.pictures)


def _silent(*_: object) -> None:
    """Nobody watches."""
