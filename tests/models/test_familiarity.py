"""What is unlike the training radiographs is told from what another room alone has changed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.bundle import Bundle
from models.bundle_file import unseal
from models.dataset import Labelled, load
from models.examples import list_examples
from models.familiarity import LEAST_IMAGES, fit_familiarity, limit_of
from models.judge import runtime_distances
from models.phantom import phantom
from models.runtime import OpenVinoRuntime
from models.stress import MIXED, network_input, shifted
from models.torch_runtime import TorchRuntime
from tests.models.conftest import Trained

SIDE = 96


@pytest.fixture(scope="module")
def runtime(trained: Trained) -> OpenVinoRuntime:
    return OpenVinoRuntime(unseal(trained.path)[0], precision="fp32", threads=1)


def chests(seeds: range) -> NDArray[np.uint8]:
    """Drawn as those of the training were, of patients it never saw."""
    return np.stack([phantom(seed, rows=SIDE, columns=SIDE, opacity=seed % 2 == 1) for seed in seeds])


def photographs(count: int) -> NDArray[np.uint8]:
    """Smooth pictures of nothing: blobs of light."""
    draw = np.random.default_rng(3)
    blobs = draw.random((count, 8, 8), dtype=np.float32)
    smooth = [cv2.resize(blob, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for blob in blobs]
    return (np.stack(smooth) * 200).clip(0, 255).astype(np.uint8)


def test_what_is_no_chest_is_farther_than_any_chest_and_other_rooms_are_near(
    runtime: OpenVinoRuntime,
) -> None:
    near = runtime_distances(runtime, chests(range(7000, 7040)))
    elsewhere = runtime_distances(
        runtime, shifted(chests(range(7000, 7040)), change=MIXED, strength=0.33, seed=1)
    )
    far = runtime_distances(runtime, photographs(20))
    assert far.min() > near.max()
    assert np.median(elsewhere) < far.min()


def test_both_runtimes_measure_the_same_distance(trained: Trained, runtime: OpenVinoRuntime) -> None:
    images = np.concatenate([chests(range(7000, 7006)), photographs(4)])
    other = TorchRuntime(unseal(trained.path)[0], findings=len(trained.manifest.findings), device="cpu")
    assert runtime_distances(other, images) == pytest.approx(runtime_distances(runtime, images), rel=0.02)


def test_the_limit_is_what_one_held_out_image_in_a_hundred_exceeds() -> None:
    distances = np.arange(1000) / 1000
    limit = limit_of(distances)
    assert limit is not None
    assert (distances > limit).mean() == 0.01
    assert limit_of(distances[: LEAST_IMAGES - 1]) is None


def test_an_image_beyond_the_limit_is_called_unlike_and_answered_all_the_same(
    trained: Trained, runtime: OpenVinoRuntime
) -> None:
    assert trained.manifest.familiarity["limit"] is None, "forty patients cannot carry a limit"
    bundle = Bundle.load(trained.path, device="cpu")
    known, strange = chests(range(7000, 7001))[0], photographs(1)[0]
    assert [one.unlike for one in bundle.screen([known, strange])] == [None, None]
    distances = runtime_distances(
        OpenVinoRuntime(unseal(trained.path)[0], precision="fp32"), np.stack([known, strange])
    )
    limited = replace(bundle.manifest, familiarity={"limit": float(distances.mean())})
    near, far = Bundle(limited, bundle._runtime, research=False).screen([known, strange])
    assert near.unlike is None
    assert "unlike the radiographs the network was trained on" in (far.unlike or "")
    assert far.outcome == "screened"
    assert far.findings


def test_every_channel_counts_alike_whatever_its_scale(labelled: Labelled) -> None:
    """The training images themselves are at a distance of about one."""

    familiarity = fit_familiarity(labelled, seed=1, threads=1)
    with torch.inference_mode():
        distances = familiarity(torch.from_numpy(network_input(labelled.images))).numpy()
    assert 0.2 < float(np.median(distances)) < 1.5


@pytest.fixture(scope="module")
def labelled(trained: Trained) -> Labelled:
    return load(list_examples(trained.data)[0], side=SIDE)
