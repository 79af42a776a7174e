"""Training that goes on from a bundle, and pictures drawn mildly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from models.bundle import Bundle
from models.bundle_file import TRAINED_PATIENTS, WEIGHTS, unseal
from models.dataset import Labelled
from models.epoch import Drawing, training_batch
from models.examples import DatasetRefused
from models.feature_store import FeatureStore
from models.features import FrozenFeatures
from models.finetune import FinetuneSettings
from models.manifest import BundleRefused
from models.network import imagenet_network
from models.parts import CALIBRATE, SELECT, TRAIN, describe, parts_of
from models.quick import fit_quick
from models.ranks import Ranks
from models.start import Start
from models.stress import network_input
from models.train import Paused, TrainingOrder, read_data, train
from models.trained_patients import calibrated_by, taught_by, trained_member
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
    network = imagenet_network(len(labelled.findings))
    network.margin.fill_(0.05)
    Start.read(trained.path).give(network, findings=labelled.findings, whole=True)
    weights = load(unseal(trained.path)[0][WEIGHTS])
    assert torch.equal(network.head.weight, weights["network.head.weight"].float())
    assert torch.equal(network.stem[0].weight, weights["network.stem.0.weight"].float())
    assert float(network.margin) == 0


def test_frozen_features_keep_the_bundles_margin_and_no_head(trained: Trained) -> None:
    start = Start.read(trained.path)
    other = imagenet_network(3)
    with_margin = replace(start, members=start.members | {WEIGHTS: _with_margin(start.members[WEIGHTS])})
    with_margin.give(other, findings=("nodule", "effusion", "oedema"), whole=False)
    assert float(other.margin) == pytest.approx(0.05, abs=1e-6)
    assert not other.head.weight.any()


def _with_margin(weights: bytes) -> bytes:
    return save(load(weights) | {"network.margin": torch.tensor(0.05)})


def test_other_findings_than_the_bundles_are_refused_where_its_head_goes_on(trained: Trained) -> None:
    network = imagenet_network(1)
    before = network.stem[0].weight.clone()
    with pytest.raises(DatasetRefused, match="knows other findings"):
        Start.read(trained.path).give(network, findings=("effusion",), whole=True)
    assert torch.equal(network.stem[0].weight, before)


def test_the_same_data_and_seed_have_the_same_parts(trained: Trained, labelled: Labelled) -> None:
    part = Start.read(trained.path).parts(labelled, seed=7, choosing=True)
    assert np.array_equal(part, parts_of(labelled, seed=7))


@pytest.mark.parametrize("seed", [8, 9])
@pytest.mark.parametrize("choosing", [True, False])
def test_nobody_the_bundle_has_learnt_from_judges(
    trained: Trained, labelled: Labelled, seed: int, choosing: bool
) -> None:
    learnt = np.isin(parts_of(labelled, seed=7), (TRAIN, SELECT))
    more = _with_strangers(labelled, count=60)
    part = Start.read(trained.path).parts(more, seed=seed, choosing=choosing)
    assert (part[: len(labelled)][learnt] == TRAIN).all()
    judging = set(more.patients[part == CALIBRATE])
    assert len(judging) >= 0.1 * len(np.unique(more.patients))
    assert (part == SELECT).any() == choosing


def test_equal_counts_are_not_taken_for_the_bundles_own_data(trained: Trained, labelled: Labelled) -> None:
    """Other patients under the same labels make parts of the same sizes."""
    start = Start.read(trained.path)
    others = replace(labelled, patients=np.char.add(labelled.patients, "-other"))
    kept = np.unique(labelled.patients)[::2]
    mixed = replace(
        labelled, patients=np.where(np.isin(labelled.patients, kept), labelled.patients, others.patients)
    )
    told = dict(start.manifest.provenance) | {"images": describe(mixed, parts_of(mixed, seed=7))}
    same_counts = replace(start, manifest=replace(start.manifest, provenance=told))
    taught = taught_by(start.members, mixed.patients)
    assert taught is not None
    assert np.array_equal(same_counts.learnt_from(mixed), taught)


def _with_strangers(data: Labelled, *, count: int) -> Labelled:
    again = np.resize(np.arange(len(data)), count)
    return replace(
        data,
        images=np.concatenate([data.images, data.images[again]]),
        labels=np.concatenate([data.labels, data.labels[again]]),
        patients=np.concatenate([data.patients, np.array([f"stranger-{at}" for at in range(count)])]),
        splits=np.concatenate([data.splits, data.splits[again]]),
        paths=data.paths + tuple(data.paths[at] for at in again),
    )


def test_other_data_are_refused_where_the_bundle_does_not_say_whom_it_knows(
    trained: Trained, labelled: Labelled
) -> None:
    start = Start.read(trained.path)
    silent = replace(
        start, members={name: data for name, data in start.members.items() if name != TRAINED_PATIENTS}
    )
    with pytest.raises(DatasetRefused, match="does not say which patients"):
        silent.parts(labelled.take(np.arange(45)), seed=7, choosing=True)
    same = parts_of(labelled, seed=7)
    assert np.array_equal(silent.parts(labelled, seed=7, choosing=True), same)
    assert np.array_equal(~start.learnt_from(labelled), same == CALIBRATE)
    assert np.array_equal(~silent.learnt_from(labelled), same == CALIBRATE)


def test_what_was_learnt_before_stays_marked() -> None:
    first = trained_member(["a", "b"])
    second = trained_member(["c"], before=first)
    taught = taught_by(second, np.array(["a", "b", "c", "d"]))
    assert taught is not None
    assert taught.tolist() == [True, True, True, False]
    assert taught_by({}, np.array(["a"])) is None
    third = trained_member(["a"], calibrated=["d"], before=first)
    calibrated = calibrated_by(third, np.array(["a", "b", "d"]))
    assert calibrated is not None
    assert calibrated.tolist() == [False, False, True]
    older = {name: marks[: len(marks) // 2] for name, marks in first.items()}
    assert calibrated_by(older, np.array(["a"])) is None
    strangers = taught_by(
        trained_member(str(number) for number in range(3300)),
        np.array([f"stranger {number}" for number in range(4000)]),
    )
    assert strangers is not None
    assert strangers.mean() < 0.04


def test_quick_training_on_a_bundle_keeps_everything_but_the_head(trained: Trained, tmp_path: Path) -> None:
    order = replace(
        quick_order(trained.data, tmp_path / "candidate.bundle"),
        start=trained.path,
        version="2",
        features=tmp_path / "features",
    )
    manifest = train(order)
    ours, before = (load(unseal(path)[0][WEIGHTS]) for path in (order.out, trained.path))
    for name, tensor in before.items():
        if not name.startswith("network.head."):
            assert torch.equal(ours[name], tensor), name
    assert manifest.familiarity == trained.manifest.familiarity
    assert manifest.appearance == trained.manifest.appearance
    assert manifest.provenance["start"].startswith("the bundle drawn 1;")
    assert manifest.provenance["held_out"]["pneumonia"]["plain"]["auc"] > 0.9
    screening = Bundle.load(order.out, device="cpu").screen([np.zeros((90, 90), np.uint8)])
    assert len(screening) == 1


def test_features_that_are_known_are_not_computed_again(
    labelled: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = labelled.take(np.arange(len(labelled)) < 40)
    first, second = imagenet_network(1), imagenet_network(1)
    fit_quick(first, learnt, seed=7, threads=1, cache=tmp_path)
    asked: list[int] = []
    compute = FrozenFeatures.of

    def counting(self: FrozenFeatures, batches: object, count: int, **more: object) -> object:
        asked.append(count)
        return compute(self, batches, count, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(FrozenFeatures, "of", counting)
    fit_quick(second, learnt, seed=7, threads=1, cache=tmp_path)
    assert asked == []
    assert torch.equal(first.head.weight, second.head.weight)
    fit_quick(
        imagenet_network(1), labelled.take(np.arange(len(labelled)) < 41), seed=7, threads=1, cache=tmp_path
    )
    assert 3 <= sum(asked) < 40, "one more picture leaves nearly all drawings as they were"
    other = imagenet_network(1)
    other.stem[0].weight.data.mul_(1.1)
    asked.clear()
    fit_quick(other, learnt, seed=7, threads=1, cache=tmp_path)
    assert sum(asked) == 3 * 40, "another network has other features"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut short"])
def test_a_damaged_store_of_features_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "network.npz").write_bytes(content)
    store = FeatureStore(tmp_path, network="network")
    key = bytes(32)
    assert key not in store
    store.add([key], np.ones((1, 1280), np.float32))
    assert FeatureStore(tmp_path, network="network").of([key]).sum() == 1280


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
            np.abs(
                training_batch(labelled, chosen, drawing, (1, 2, 3), Ranks()).pictures.numpy() - asis
            ).mean()
        )

    assert away(mild=1.0) < 0.75 * away()
    assert away(mild=1.0) < away(mild=1.0, swapped=1.0)


def test_what_is_drawn_does_not_depend_on_a_share_of_none(labelled: Labelled) -> None:
    """Bundles trained before there were mild drawings can be trained again."""
    drawing = Drawing(batch=8, rivals=0.5, mixup=0, label_smoothing=0)
    batch = training_batch(labelled, np.arange(8), drawing, (7, 0, 0), Ranks())
    swapped = training_batch(labelled, np.arange(8), replace(drawing, swapped=1.0), (7, 0, 0), Ranks())
    assert np.array_equal(batch.partner, swapped.partner)
    assert not torch.equal(batch.pictures, swapped.pictures)


def _silent(*_: object) -> None:
    """Nobody watches."""
