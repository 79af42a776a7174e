"""The tests of the activation map find a map that points elsewhere, and let none pass that was not tested."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle_file import HEALTHY_CHEST, MANIFEST, unseal
from models.dataset import Labelled
from models.explain import LEAST_IMAGES, NO_HEALTHY_CHEST, explain, failures, verdicts
from models.explain_curves import STEPS
from models.explain_randomised import (
    layers,
    maps_of,
    network_of,
    pooled_logits,
    random_heads,
    randomise,
    randomised_correlations,
    rank_correlation,
)
from models.explain_report import write_explanations
from models.healthy_chest import as_png
from models.manifest import Manifest, from_json
from models.phantom import phantom
from models.preprocess import Float
from models.runtime import Look, OpenVinoRuntime, Runtime
from models.stress import network_input
from tests.models.conftest import Trained

SIDE = 96


@pytest.fixture(scope="module")
def members(trained: Trained) -> dict[str, bytes]:
    """With a healthy chest: the drawn set is too small to take the mean of."""
    chest = as_png(network_input(phantom(0, rows=SIDE, columns=SIDE)[None])[0, 0])
    return unseal(trained.path)[0] | {HEALTHY_CHEST: chest}


@pytest.fixture(scope="module")
def manifest(members: dict[str, bytes]) -> Manifest:
    return from_json(members[MANIFEST], sha256="")


@pytest.fixture(scope="module")
def runtime(members: dict[str, bytes]) -> OpenVinoRuntime:
    return OpenVinoRuntime(members, precision="fp32", threads=1)


@pytest.fixture(scope="module")
def chests() -> Labelled:
    """Eighty drawn chests the bundle never saw, every other with an opacity, two of each patient."""
    seeds = range(9000, 9080)
    images = [phantom(seed, rows=SIDE, columns=SIDE, opacity=seed % 2 == 1) for seed in seeds]
    return Labelled(
        images=np.stack(images),
        labels=np.array([[seed % 2] for seed in seeds], dtype=np.float32),
        patients=np.array([f"p{number // 4}-{number % 2}" for number in range(len(images))]),
        splits=np.array([""] * len(images)),
        paths=tuple(str(seed) for seed in seeds),
        findings=("pneumonia",),
        notices=(),
    )


@pytest.fixture(scope="module", autouse=True)
def few_random_networks() -> Iterator[None]:
    """The check itself is the same with fewer; its own test asks for all layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.explain.RANDOMISED_IMAGES", 3)
        patch.setattr("models.explain.RANDOMISED_SEEDS", (1,))
        patch.setattr("models.explain.MOST_IMAGES", 24)
        yield


@pytest.fixture(scope="module")
def outcome(
    runtime: OpenVinoRuntime, members: dict[str, bytes], manifest: Manifest, chests: Labelled
) -> dict[str, Any]:
    return explain(runtime, members, manifest, chests, seed=7)


class PointsElsewhere:
    """The same logits, with every map turned upside down."""

    name = "upside down"
    conditions: dict[str, str | int] = {}  # noqa: RUF012

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def look(self, batch: Float) -> Look:
        look = self._runtime.look(batch)
        return look._replace(maps=look.maps[:, :, ::-1].copy())


def test_the_sum_over_the_map_and_the_bias_is_the_logit_of_pooling_in_both_runtimes(
    outcome: dict[str, Any],
) -> None:
    assert outcome["sums"]["torch"] < 1e-4
    assert outcome["sums"]["openvino"] < 0.1, "half precision, norms folded in"
    assert outcome["sums"]["openvino_probability"] < 0.01


def test_the_outcome_states_every_figure_with_its_limit_and_survives_the_manifest(
    outcome: dict[str, Any], manifest: Manifest
) -> None:
    assert outcome["images"] >= LEAST_IMAGES
    assert outcome["passes"] == (not outcome["failed"])
    for kind in ("deletion", "insertion"):
        for order in ("map", "random", "centre"):
            found = outcome["curves"][kind][order]
            assert found["area"]["low"] <= found["area"]["value"] <= found["area"]["high"]
            assert len(found["curve"]) == STEPS + 1
    assert outcome["curves"]["read_as"]["stand_ins"] < 0.5, "what takes the finding's place is without it"
    assert set(outcome["limits"]) >= {"sum_error", "randomised_correlation", "outside_thorax"}
    document = json.loads(json.dumps(outcome))
    assert replace(manifest, explanations=document).explanations == outcome


def test_the_occlusion_map_is_tested_alike_and_beside_it(outcome: dict[str, Any]) -> None:
    tested = outcome["occlusion_map"]
    assert tested["limits"] == outcome["limits"]
    assert tested["passes"] == (not tested["failed"])
    for way in ("deletion", "insertion"):
        for order in ("random", "centre"):
            assert tested["curves"][way][order] == outcome["curves"][way][order], "the same comparison"
        assert tested["curves"][way]["map"] != outcome["curves"][way]["map"]
        assert tested["curves"][way]["better_than_random"]["low"] > 0, "it finds the drawn opacities"
    assert set(tested["randomised"]["cascading"]) == {"head", "stem"}
    assert 0 <= tested["randomised"]["cascading"]["head"] <= 1
    assert tested["thorax"]["images"] > 0
    assert [line.split(" its test")[0] for line in verdicts(outcome)] == [
        f"The class activation map {'passes' if outcome['passes'] else 'fails'}",
        f"The occlusion map {'passes' if tested['passes'] else 'fails'}",
    ]


def test_without_a_healthy_chest_the_occlusion_map_fails_and_the_other_is_tested(
    runtime: OpenVinoRuntime, members: dict[str, bytes], manifest: Manifest, chests: Labelled
) -> None:
    lacking = {name: data for name, data in members.items() if name != HEALTHY_CHEST}
    said = explain(runtime, lacking, manifest, chests, seed=7)
    assert said["occlusion_map"] == {"passes": False, "failed": [NO_HEALTHY_CHEST]}
    assert "curves" in said


def test_a_map_turned_upside_down_does_worse_than_the_true_one(
    runtime: OpenVinoRuntime,
    members: dict[str, bytes],
    manifest: Manifest,
    chests: Labelled,
    outcome: dict[str, Any],
) -> None:
    turned = explain(PointsElsewhere(runtime), members, manifest, chests, seed=7)
    assert not turned["passes"]
    true, false = outcome["curves"], turned["curves"]
    assert true["deletion"]["map"]["area"]["value"] < false["deletion"]["map"]["area"]["value"]
    assert true["insertion"]["map"]["area"]["value"] > false["insertion"]["map"]["area"]["value"]
    assert true["deletion"]["centre"] == false["deletion"]["centre"], "only the map's own order changed"


def test_too_few_images_with_the_finding_are_a_failure_and_not_a_pass(
    runtime: OpenVinoRuntime, members: dict[str, bytes], manifest: Manifest, chests: Labelled
) -> None:
    said = explain(runtime, members, manifest, chests.take(np.arange(20)), seed=7)
    assert said["passes"] is False
    assert "too few to test the map on" in said["failed"][0]
    assert said["occlusion_map"]["passes"] is False


def test_training_writes_the_outcome_into_the_bundle_even_where_it_cannot_pass(manifest: Manifest) -> None:
    assert manifest.explanations["passes"] is False
    assert manifest.explanations["finding"] == "pneumonia"
    assert "too few to test the map on" in manifest.explanations["failed"][0], "forty patients in all"


def test_a_report_has_figures_a_picture_and_the_outlines_to_check_by_eye(
    outcome: dict[str, Any], chests: Labelled, tmp_path: Path
) -> None:
    document, picture, sheet = write_explanations(outcome, chests.images, tmp_path / "report", seed=0)
    assert json.loads(document.read_text()) == outcome
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sheet.read_bytes().startswith(b"\xff\xd8")


def perfect() -> dict[str, Any]:
    better = {"better_than_random": {"low": 0.1}, "better_than_centre": {"low": 0.1}}
    return {
        "sums": {"torch": 0.0, "openvino_probability": 0.001},
        "curves": {"deletion": copy.deepcopy(better), "insertion": copy.deepcopy(better)},
        "randomised": {"cascading": {"head": 0.1, "stem": 0.1}},
        "thorax": {"outside": {"value": 0.2, "high": 0.3}, "area": {"value": 0.5}},
    }


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("sums", "torch"), 0.01, "does not sum"),
        (("sums", "openvino_probability"), 0.03, "does not sum"),
        (
            ("curves", "deletion", "better_than_centre", "low"),
            0.0,
            "taken away first, matters no more than an",
        ),
        (("curves", "insertion", "better_than_random", "low"), -0.1, "shown first, matters no more than a"),
        (("curves", "insertion", "better_than_random", "low"), float("nan"), "shown first"),
        (("randomised", "cascading", "head"), 0.6, "With a random head"),
        (("randomised", "cascading", "stem"), 0.6, "With random weights throughout"),
        (("thorax", "outside", "high"), 0.55, "as often as chance"),
        (("thorax", "outside", "value"), 0.51, "51% of what the map points at is outside"),
    ],
)
def test_each_limit_has_its_sentence(place: tuple[str, ...], value: float, sentence: str) -> None:
    figures = perfect()
    assert failures(figures) == []
    *path, last = place
    at = figures
    for name in path:
        at = at[name]
    at[last] = value
    [said] = failures(figures)
    assert sentence in said


def test_random_weights_change_the_layer_they_are_put_in_and_no_other(
    members: dict[str, bytes], manifest: Manifest
) -> None:
    network = network_of(members, findings=len(manifest.findings))
    changed = copy.deepcopy(network)
    randomise(layers(changed)["stage 3"], torch.Generator().manual_seed(1))
    moved = {
        name.split(".")[0] + "." + name.split(".")[1]
        for (name, one), other in zip(network.named_parameters(), changed.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert moved == {"blocks.3", "blocks.4"}
    assert sum(1 for _ in network.parameters()) == sum(
        1 for layer in layers(network).values() for _ in layer.parameters()
    ), "every weight belongs to a layer"


def test_random_heads_are_compared_in_the_pictures_own_frame(
    members: dict[str, bytes], manifest: Manifest, chests: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.explain_randomised.HEADS", 1)
    network = network_of(members, findings=len(manifest.findings))
    with torch.no_grad():
        network.margin.fill_(0.1)
        head = torch.randn(1, network.head.in_features, generator=torch.Generator().manual_seed(0))
        pictures = network_input(chests.images[:4])
        network.head.weight[0] = head[0] * float(network.head.weight.std())
    # With the very head that is drawn, the map is its own.
    assert random_heads(network, pictures, maps_of(network, pictures)) == pytest.approx(1.0, abs=0.02)


def test_maps_fall_apart_under_random_weights_and_the_network_is_left_as_it_was(
    members: dict[str, bytes], manifest: Manifest, chests: Labelled
) -> None:
    network = network_of(members, findings=len(manifest.findings))
    pictures = network_input(chests.images[:6])
    before = maps_of(network, pictures)
    assert pooled_logits(network, pictures) == pytest.approx(
        before.sum(axis=(1, 2)) + manifest.findings[0].bias, abs=1e-4
    )
    found = randomised_correlations(network, pictures, seeds=(1, 2))
    for kind in ("cascading", "independent"):
        assert list(found[kind]) == list(layers(network))
    assert 0 <= found["cascading"]["stem"].mean() < 0.7
    assert np.array_equal(maps_of(network, pictures), before)
    assert rank_correlation(before, before).tolist() == [1.0] * 6
