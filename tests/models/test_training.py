"""Training gives a bundle that has learnt, the same every time, whether or not it was interrupted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.bundle import Bundle
from models.bundle_file import MANIFEST, WEIGHTS, unseal
from models.dataset import Labelled, load
from models.epoch import Drawing, epoch_order, lending, training_batch
from models.evaluate import evaluate, write_report
from models.examples import DatasetRefused, list_examples
from models.finetune import FinetuneSettings, Paused
from models.framing import FRAMES, framed, worst_of_frames
from models.network import imagenet_network
from models.parts import CALIBRATE, SELECT, TRAIN, parts_of
from models.phantom import phantom
from models.plots import draw_training
from models.ranks import Ranks
from models.step import harder
from models.stress import MIXED, conditions, shifted
from models.style import conflicting, surroundings_score
from models.train import TrainingOrder, read_data, train
from tests.models.conftest import PATIENTS, Trained, draw_set, quick_order, write_manifest

ALONE = Ranks()
TINY = FinetuneSettings(epochs=2, batch=8, per_epoch=16)


@pytest.fixture(scope="module")
def labelled(drawn: Path) -> Labelled:
    return load(list_examples(drawn)[0], side=96)


def test_quick_training_tells_drawn_opacities_from_drawn_lungs_it_never_saw(trained: Trained) -> None:
    bundle = Bundle.load(trained.path, device="cpu")
    seeds = range(5000, 5030)
    images = [phantom(seed, rows=300, columns=280, opacity=seed % 2 == 1) for seed in seeds]
    probability = np.array([one.findings["pneumonia"].probability for one in bundle.screen(images)])
    truth = np.array([seed % 2 for seed in seeds])
    assert probability[truth == 1].mean() > probability[truth == 0].mean() + 0.5


def test_a_bundle_tells_where_it_comes_from(trained: Trained) -> None:
    provenance = trained.manifest.provenance
    assert provenance["mode"] == "quick"
    assert provenance["data"] == "drawn"
    assert provenance["images"]["train"]["patients"] == 32
    assert set(provenance["held_out"]["pneumonia"]) == {"plain", "stressed"}
    assert trained.manifest.thresholds["pneumonia"].rule_out is None, (
        "forty patients cannot carry a guarantee"
    )


def test_training_again_gives_the_same_weights_and_thresholds(trained: Trained, tmp_path: Path) -> None:
    again = tmp_path / "again.bundle"
    train(quick_order(trained.data, again))
    ours, theirs = unseal(again)[0], unseal(trained.path)[0]
    assert ours[WEIGHTS] == theirs[WEIGHTS]
    assert ours[MANIFEST] == theirs[MANIFEST]


def test_thorough_training_goes_on_where_it_stopped_and_ends_the_same(drawn: Path, tmp_path: Path) -> None:
    order = TrainingOrder(
        data=drawn, out=tmp_path / "whole.bundle", mode="thorough", side=64, threads=1, finetune=TINY
    )
    train(order)
    paused = replace(order, out=tmp_path / "paused.bundle", finetune=replace(TINY, minutes=0.0))
    with pytest.raises(Paused, match=r"after epoch 1 of 2; run the same command again"):
        train(paused)
    assert not paused.out.exists()
    train(replace(paused, version="2"))  # what a bundle is called does not decide what it has learnt
    assert unseal(paused.out)[0][WEIGHTS] == unseal(order.out)[0][WEIGHTS]
    folder = tmp_path / "paused.bundle.training"
    events = [json.loads(line)["event"] for line in (folder / "log.jsonl").read_text().splitlines()]
    expected = ["data", "start", "step", "epoch", "data", "step", "epoch"]
    assert events == [*expected, "held out", "explanations", "bundle"]
    draw_training(folder / "log.jsonl", folder / "curves.png")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_another_order_does_not_go_on_from_a_foreign_checkpoint(drawn: Path, tmp_path: Path) -> None:
    first = TrainingOrder(
        data=drawn,
        out=tmp_path / "a.bundle",
        mode="thorough",
        side=64,
        threads=1,
        finetune=replace(TINY, minutes=0.0),
    )
    with pytest.raises(Paused):
        train(first)
    with pytest.raises(Paused, match="after epoch 1 of 2"):
        train(replace(first, seed=8))


def test_changed_labels_do_not_go_on_from_a_checkpoint_of_the_old_ones(drawn: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(drawn, tmp_path / "data"))
    order = TrainingOrder(
        data=data,
        out=tmp_path / "a.bundle",
        mode="thorough",
        side=64,
        threads=1,
        finetune=replace(TINY, minutes=0.0),
    )
    with pytest.raises(Paused, match="after epoch 1 of 2"):
        train(order)
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("p000_0.png,NORMAL", "p000_0.png,PNEUMONIA"))
    assert "p000_0.png,PNEUMONIA" in manifest.read_text()
    with pytest.raises(Paused, match="after epoch 1 of 2"):
        train(order)


def test_every_part_has_both_classes_and_no_patient_is_in_two(labelled: Labelled) -> None:
    part = parts_of(labelled, seed=7)
    for number in (TRAIN, SELECT, CALIBRATE):
        assert set(labelled.labels[part == number, 0]) == {0.0, 1.0}
    for patient in np.unique(labelled.patients):
        assert len(set(part[labelled.patients == patient])) == 1


def test_patients_of_a_test_split_are_never_touched(labelled: Labelled) -> None:
    tested = np.isin(labelled.patients, np.unique(labelled.patients)[:8])
    split = replace(labelled, splits=np.where(tested, "test", "train"))
    part = parts_of(split, seed=7)
    assert set(part[tested]) == {3}
    assert 3 not in set(part[~tested])


def test_too_few_patients_are_refused_with_how_many_are_needed(tmp_path: Path) -> None:
    order = TrainingOrder(data=draw_set(tmp_path / "few", patients=6), out=tmp_path / "x.bundle", side=64)
    with pytest.raises(DatasetRefused, match="at least about 15 patients of each class"):
        train(order)
    assert not order.out.exists()


def test_excluded_patients_are_in_no_part(drawn: Path, tmp_path: Path) -> None:
    held = write_manifest(tmp_path / "held.csv", [{"patient_key": "p001"}, {"patient_key": "p000"}])
    order = TrainingOrder(data=drawn, out=tmp_path / "held.bundle", side=32, exclude=(held,))
    data = read_data(order, read_image=None, patient_of=None, report=lambda *_: None)
    assert len(np.unique(data.patients)) == PATIENTS - 2
    assert not {"p000", "p001"} & set(data.patients)
    assert any("patients to be left out" in notice for notice in data.notices)


def test_an_epoch_shows_both_classes_equally_and_every_picture_before_any_twice() -> None:
    truth = np.array([1.0] * 30 + [0.0] * 10, np.float32)
    epochs = [epoch_order(truth, 20, seed=1, epoch=epoch) for epoch in range(3)]
    assert all(truth[order].mean() == 0.5 for order in epochs)
    shown = np.concatenate(epochs)
    assert sorted(shown[truth[shown] > 0]) == list(range(30))
    assert np.array_equal(epochs[1], epoch_order(truth, 20, seed=1, epoch=1))


def test_a_batch_depends_on_its_key_alone_and_its_targets_stay_between_the_classes(
    labelled: Labelled,
) -> None:
    chosen = np.arange(8)
    drawing = Drawing(batch=8, rivals=0.5, mixup=1.0, label_smoothing=0.04)
    one, other = (training_batch(labelled, chosen, drawing, (7, 0, step), ALONE) for step in (0, 1))
    again = training_batch(labelled, chosen, drawing, (7, 0, 0), ALONE)
    assert np.array_equal(one.pictures.numpy(), again.pictures.numpy())
    assert np.array_equal(one.rivals.numpy(), again.rivals.numpy())
    assert not np.array_equal(one.pictures.numpy(), other.pictures.numpy())
    assert one.rivals.shape == (4, 1, 96, 96)
    assert not np.array_equal(one.rivals.numpy(), one.pictures[:4].numpy())
    pictures, targets = one.mixed(one.pictures, ALONE)
    assert pictures.shape == one.pictures.shape
    assert 0 < float(targets.min()) < float(targets.max()) < 1


def test_of_two_drawings_the_network_learns_from_the_one_it_does_worse_on(labelled: Labelled) -> None:
    drawing = Drawing(batch=8, rivals=0.5, mixup=0.0, label_smoothing=0.0)
    batch = training_batch(labelled, np.arange(8), drawing, (7, 0, 0), ALONE)
    network = imagenet_network(1).eval()
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
        kept = harder(network, batch)
        losses = [
            functional.binary_cross_entropy_with_logits(
                network.logits(pictures)[:, 0], batch.targets[:4, 0], reduction="none"
            )
            for pictures in (batch.pictures[:4], batch.rivals, kept[:4])
        ]
    assert torch.allclose(losses[2], torch.maximum(losses[0], losses[1]), rtol=0.1)
    assert not torch.equal(kept[:4], batch.pictures[:4])
    assert torch.equal(kept[4:], batch.pictures[4:])


def test_pictures_shown_twice_as_often_are() -> None:
    truth = np.array([1.0] * 20 + [0.0] * 20, np.float32)
    twice = np.arange(40) % 20 < 5
    shown = np.concatenate([epoch_order(truth, 50, seed=1, epoch=epoch, twice=twice) for epoch in range(4)])
    counts = np.bincount(shown, minlength=40)
    assert set(counts[twice]) == {8}
    assert set(counts[~twice]) == {4}


def test_what_is_borrowed_comes_from_both_classes_alike() -> None:
    truth = np.array([1.0] * 90 + [0.0] * 10, np.float32)
    assert truth[lending(truth, np.random.default_rng(0))].mean() == 0.5


def test_the_worst_frame_speaks_against_the_label_and_a_score_blind_to_frames_has_none() -> None:
    images = np.stack([phantom(seed, rows=96, columns=96) for seed in range(6)]).astype(np.uint8)
    truth = np.array([1, 0, 1, 0, 1, 0])

    def dark(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return -pictures.mean(axis=(1, 2), dtype=np.float64)

    worst, plain = worst_of_frames(dark, images, truth), dark(images)
    assert (worst[truth == 1] < plain[truth == 1]).all()
    assert (worst[truth == 0] > plain[truth == 0]).all()
    assert all(framed(images, name).shape == images.shape for name in FRAMES)
    blind = worst_of_frames(lambda pictures: np.arange(6, dtype=np.float64), images, truth)
    assert np.array_equal(blind, np.arange(6))


@pytest.mark.parametrize(("change", "grade"), [*conditions(grades=(1.0,))][1:])
def test_every_change_changes_the_picture_keeps_its_kind_and_repeats_itself(
    change: str, grade: float
) -> None:
    images = np.stack([phantom(seed, rows=96, columns=96) for seed in range(6)])
    changed = shifted(images, change=change, strength=grade, seed=0)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert (changed != images).mean() > 0.005
    assert np.array_equal(changed, shifted(images, change=change, strength=grade, seed=0))


def test_a_stronger_grade_moves_the_picture_further() -> None:
    images = np.stack([phantom(seed, rows=96, columns=96) for seed in range(6)]).astype(np.uint8)
    moved = [
        np.abs(shifted(images, change="exposure", strength=grade, seed=1).astype(float) - images).mean()
        for grade in (0.33, 0.66, 1.0)
    ]
    assert moved == sorted(moved)
    assert MIXED in {name for name, _ in conditions()}


def test_an_evaluation_gives_figures_with_intervals_and_a_picture(
    trained: Trained, labelled: Labelled, tmp_path: Path
) -> None:
    bundle = Bundle.load(trained.path, device="cpu")
    kept = labelled.take(np.arange(24))
    score = surroundings_score(kept.images, kept.labels[:, 0], kept.patients, seed=0, threads=2)
    outcome = evaluate(bundle, kept, surroundings=score, rounds=50)
    figure = outcome["plain"]["auc"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert outcome["conflict"]["images"] == conflicting(kept.labels[:, 0], score).sum()
    document, picture = write_report(outcome, tmp_path / "report")
    assert json.loads(document.read_text())["bundle"]["sha256"] == bundle.manifest.sha256
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_evaluation_under_stress_names_the_worst_change(trained: Trained, labelled: Labelled) -> None:
    outcome = evaluate(
        Bundle.load(trained.path, device="cpu"), labelled.take(np.arange(10)), stress=True, rounds=10
    )
    assert 0 <= outcome["worst_frame"]["auc"] <= outcome["plain"]["auc"]["value"]
    rows = outcome["stress"]["conditions"]
    assert len(rows) == len(list(conditions())) - 1
    assert outcome["stress"]["worst"]["auc"] == min(row["auc"] for row in rows if row["change"] != MIXED)
    sure = outcome["stress"]["intervals"]
    assert sure["worst_auc"][0] <= sure["mean_auc"][0] <= sure["mean_auc"][1] <= 1
    cuts = trained.manifest.thresholds["pneumonia"]
    broken = {f"{row['change']} {row['grade']}" for row in rows if row["missed"] > cuts.rule_out_miss_bound}
    assert set(outcome["stress"]["broken_bounds"]["missed"]) == broken


def test_data_of_another_finding_are_refused(trained: Trained, labelled: Labelled) -> None:
    bundle = Bundle.load(trained.path, device="cpu")
    with pytest.raises(DatasetRefused, match="The bundle speaks of pneumonia and the data of effusion"):
        evaluate(bundle, replace(labelled, findings=("effusion",)))
    with pytest.raises(DatasetRefused, match="with it and without it"):
        evaluate(bundle, labelled.take(labelled.labels[:, 0] > 0.5))
