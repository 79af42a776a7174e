"""What the layers see: the maps that are shown are those of the network that answers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, BundleRefused, default_bundle_path
from models.layers import ImageRefused, Inside, look_inside
from models.phantom import phantom


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return phantom(7, opacity=True)


@pytest.fixture(scope="module")
def inside(image: np.ndarray) -> Inside:
    return look_inside(default_bundle_path(), image, maps=9)


def test_layers_go_from_fine_to_coarse_and_show_as_many_maps_as_asked_for(inside: Inside) -> None:
    assert [layer.depth for layer in inside.layers] == ["early", "middle", "late"]
    assert all(fine.rows > coarse.rows for fine, coarse in pairwise(inside.layers))
    for layer in inside.layers:
        assert 1 <= len(layer.maps) <= 9
        assert layer.silent + len(layer.maps) <= layer.channels
        assert len({one.channel for one in layer.maps}) == len(layer.maps)
        for one in layer.maps:
            assert one.grey.shape == (layer.rows, layer.columns)
            assert (one.grey.min(), one.grey.max()) == (0, 255)


def test_what_is_added_up_is_the_answer_of_the_bundle(inside: Inside, image: np.ndarray) -> None:
    bundle = Bundle.load(default_bundle_path(), device="cpu")
    [answer] = bundle.screen([image])
    assert inside.contributions.keys() == answer.findings.keys()
    for name, contributions in inside.contributions.items():
        expected = np.asarray(answer.findings[name].activation_map)
        assert contributions.shape == expected.shape
        assert np.abs(contributions - expected).max() < 0.1, "fp32 here, perhaps bf16 there"


def test_no_two_maps_of_a_layer_show_the_same(inside: Inside) -> None:
    for layer in inside.layers[:2]:
        flat = np.stack([one.grey.ravel() for one in layer.maps]).astype(float)
        alike = np.abs(np.corrcoef(flat) - np.eye(len(flat)))
        assert alike.max() < 0.97


def test_a_change_of_the_image_changes_what_is_seen(inside: Inside, image: np.ndarray) -> None:
    turned = look_inside(default_bundle_path(), np.ascontiguousarray(image[::-1]), maps=9)
    assert not np.array_equal(turned.given, inside.given)
    assert not np.array_equal(turned.layers[0].maps[0].grey, inside.layers[0].maps[0].grey)


def test_an_image_without_a_radiographs_size_and_a_damaged_bundle_are_refused(
    image: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(ImageRefused, match=r"\.$"):
        look_inside(default_bundle_path(), np.zeros((1, 4), np.uint8))
    torn = tmp_path / "torn.bundle"
    torn.write_bytes(default_bundle_path().read_bytes()[:-5000])
    with pytest.raises(BundleRefused):
        look_inside(torn, image)
