"""Whether more data would help, a time budget, and features that outlive a killed training."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import quick, time_budget, together
from models.bundle_file import unseal
from models.dataset import load
from models.examples import DatasetRefused, list_examples
from models.features import FrozenFeatures
from models.finetune import FinetuneSettings
from models.learning_curve import HARDLY, learning_curve
from models.network import FEATURES, imagenet_network
from models.quick import COPIES, HARD, drawings_of, fit_quick
from models.run_log import RunLog
from models.time_budget import LEARNING_SHARE, TimeBudget, clock_beside
from models.train import train
from tests.models import some_steps
from tests.models.conftest import Trained, quick_order


def _drawn(patients: int, *, noise: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int_]]:
    draw = np.random.default_rng(seed)
    truth = np.arange(patients) % 2
    features = draw.normal(0, 1, (patients, FEATURES)).astype(np.float32)
    features[:, :40] += truth[:, None] / noise
    return features, truth


def _curve(patients: int, *, noise: float) -> dict[str, Any]:
    features, truth = _drawn(patients, noise=noise, seed=1)
    held_out, held_truth = _drawn(200, noise=noise, seed=2)
    names = np.array([f"p{number}" for number in range(patients)])
    return learning_curve(
        features,
        truth,
        names,
        held_out=held_out,
        held_out_truth=held_truth,
        held_out_patients=np.array([f"h{number}" for number in range(200)]),
        seed=7,
    )


def test_where_more_patients_raise_the_figure_the_curve_says_so() -> None:
    curve = _curve(400, noise=4)
    assert [point["patients"] for point in curve["points"]] == [100, 200, 400]
    aucs = [point["auc"] for point in curve["points"]]
    assert aucs == sorted(aucs)
    assert all(point["low"] <= point["auc"] <= point["high"] for point in curve["points"])
    assert curve["gain"]["low"] > 0
    assert curve["says"].startswith("More data would help: going from 200 to 400 patients")


def test_where_the_figure_stands_still_more_data_are_said_to_help_hardly() -> None:
    curve = _curve(200, noise=0.5)
    assert curve["points"][-1]["auc"] == 1
    assert curve["gain"]["high"] <= HARDLY
    assert curve["says"].startswith("A head on these features would hardly gain")


def test_few_patients_are_said_to_tell_nothing() -> None:
    curve = _curve(12, noise=1)
    assert curve["gain"] is None
    assert "too few patients" in curve["says"]


def test_quick_training_tells_its_curve_and_whoever_listens_hears_the_log(
    trained: Trained, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []
    order = replace(quick_order(trained.data, tmp_path / "x.bundle"), start=trained.path)
    train(order, tell=lambda **event: heard.append(event))
    assert [event["event"] for event in heard] == [
        "data",
        "learning curve",
        "held out",
        "explanations",
        "bundle",
    ]
    assert heard[1]["finding"] == "pneumonia"
    log = (tmp_path / "x.bundle.training" / "log.jsonl").read_text().splitlines()
    assert json.loads(log[1])["says"] == heard[1]["says"]


def test_many_pictures_have_half_as_many_hard_drawings_and_few_have_two_each(drawn: Path) -> None:
    data = load(list_examples(drawn)[0], side=64)
    few = drawings_of(data, seed=7)
    assert Counter(drawing.image for drawing in few) == dict.fromkeys(range(len(data)), 1 + COPIES)
    copies = -(-2 * HARD // len(data)) + 1
    many = data.take(np.tile(np.arange(len(data)), copies))
    images = many.images.copy()
    images[:, 0, 0] = np.arange(len(images)) % 251  # other pixels, other pictures
    images[:, 0, 1] = np.arange(len(images)) // 251
    drawings = drawings_of(replace(many, images=images), seed=7)
    assert len(drawings) == len(many) + max(HARD, len(many) // 2)
    assert sum(drawing.copy == 0 for drawing in drawings) == len(many)


def test_a_killed_quick_training_leaves_the_features_it_had(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "_KEPT_TOGETHER", 32)
    data = load(list_examples(drawn)[0], side=64)
    wanted = len(drawings_of(data, seed=7))

    class Killed(Exception):
        """As a signal would end it."""

    def killed(_stage: str, done: int, _of: int) -> None:
        if done > 100:
            raise Killed

    with pytest.raises(Killed):
        fit_quick(imagenet_network(1), data, seed=7, threads=1, cache=tmp_path, report=killed)
    asked: list[int] = []
    compute = FrozenFeatures.of

    def counting(self: FrozenFeatures, batches: object, count: int, **more: object) -> object:
        asked.append(count)
        return compute(self, batches, count, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(FrozenFeatures, "of", counting)
    fit_quick(imagenet_network(1), data, seed=7, threads=1, cache=tmp_path)
    assert sum(asked) == wanted - 96


def test_many_additions_to_the_kept_features_become_one_file(tmp_path: Path) -> None:
    store = quick.FeatureStore(tmp_path, network="n")
    keys = [bytes([number]) * 32 for number in range(60)]
    for number, key in enumerate(keys):
        store.add([key], np.full((1, FEATURES), number, np.float32))
    assert len(list(tmp_path.iterdir())) <= 25
    again = quick.FeatureStore(tmp_path, network="n")
    assert again.of(keys)[:, 0].tolist() == list(range(60))


def test_a_budget_that_is_spent_ends_the_epochs_and_gives_a_bundle(trained: Trained, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    order = replace(
        quick_order(trained.data, tmp_path / "on.bundle"),
        mode="thorough",
        start=trained.path,
        finetune=FinetuneSettings(epochs=50, batch=8, per_epoch=400, budget=0.05),
    )
    train(order, tell=lambda **event: heard.append(event))
    epochs = [event for event in heard if event["event"] == "epoch"]
    assert len(epochs) <= 2
    assert heard[1]["event"] == "learning curve", "it begins with the head of quick training"
    assert unseal(order.out)[0]


def test_a_budget_counts_what_earlier_attempts_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(monotonic=lambda: at))
    first = TimeBudget(10)
    at += 60
    assert first.learnt == 0, "what came before the first epoch is not learning"
    at += 60 * 3
    assert first.learnt == pytest.approx(3 / (10 * LEARNING_SHARE - 1))
    second = TimeBudget(10)
    at += 30  # reading the images once more
    second.go_on(first.state())
    assert second.learnt == pytest.approx(first.learnt + 0.5 / (10 * LEARNING_SHARE - 1))
    at += 600
    assert second.is_spent
    assert TimeBudget(None).learnt == 0


def test_a_killed_epoch_gives_nothing_of_the_budget_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 1000.0
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(monotonic=lambda: at))
    spent: list[float] = []

    class Killed(Exception):
        """As a signal would end it."""

    def tell(**event: Any) -> None:
        nonlocal at
        if event["event"] == "start":
            spent.append(event["minutes"])
            at += 240
        if event["event"] == "step":
            raise Killed

    def launched(folder: Path, _processes: int, **_: object) -> None:
        spent.append(json.loads((folder / "order.json").read_text())["clock"]["before"])
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            some_steps.trained(tmp_path, log=tell, clock=TimeBudget(100))
    assert not (tmp_path / "checkpoint.pt").exists(), "it was killed in its first epoch"
    monkeypatch.setattr(together, "_launched", launched)
    with pytest.raises(Killed):
        some_steps.trained(tmp_path, clock=TimeBudget(100), processes=2, threads=1)
    assert spent == [0, 4, 8]
    with pytest.raises(DatasetRefused, match="nothing was learnt"):
        some_steps.trained(tmp_path, clock=TimeBudget(10))


def test_what_was_spent_counts_for_the_same_training_alone(tmp_path: Path) -> None:
    log = RunLog(tmp_path, {"seed": 7}, lambda **_: None)
    spent = TimeBudget(10, before=4)
    spent.write(log.checkpoint)
    clock = TimeBudget(10)
    clock.read(RunLog(tmp_path, {"seed": 7}, lambda **_: None).checkpoint)
    assert clock.spent == pytest.approx(4, abs=0.1)
    clock = TimeBudget(10)
    clock.read(RunLog(tmp_path, {"seed": 8}, lambda **_: None).checkpoint)
    assert clock.spent == pytest.approx(0, abs=0.1)
    spent.write(log.checkpoint)
    clock_beside(log.checkpoint).write_bytes(b"")
    clock.read(log.checkpoint)
    assert clock.spent == pytest.approx(0, abs=0.1), "the power failed as it was written"
