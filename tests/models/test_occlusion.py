"""The occlusion map points at what the score rests on, and bundles carry what it needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models import healthy_chest as making
from models.bundle import Bundle
from models.bundle_file import HEALTHY_CHEST, MANIFEST, seal, unseal
from models.dataset import Labelled
from models.healthy_chest import as_png, healthy_member
from models.manifest import BundleRefused
from models.occlusion import (
    CELLS,
    exchanged,
    from_logits,
    healthy_chest,
    healthy_on,
    occlude,
    occlusion_map,
    windows,
)
from models.phantom import phantom
from models.preprocess import Float, prepare
from models.thorax import OUTLINE, Thorax, find_thorax
from tests.models.conftest import Trained

SIDE = 96


def chests(count: int) -> Labelled:
    """Drawn chests, every other with an opacity."""
    images = np.stack(
        [phantom(seed, rows=SIDE, columns=SIDE, opacity=seed % 2 == 1) for seed in range(count)]
    )
    return Labelled(
        images=images,
        labels=np.array([[seed % 2] for seed in range(count)], dtype=np.float32),
        patients=np.array([f"p{seed}" for seed in range(count)]),
        splits=np.array([""] * count),
        paths=tuple(str(seed) for seed in range(count)),
        findings=("pneumonia",),
        notices=(),
    )


@pytest.fixture(scope="module")
def carrying(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained bundle with a healthy chest."""
    members, _ = unseal(trained.path)
    path = tmp_path_factory.mktemp("carrying") / "carrying.bundle"
    chest = as_png(prepare(phantom(0, rows=SIDE, columns=SIDE), side=SIDE))
    seal(path, members | {HEALTHY_CHEST: chest})
    return path


def test_every_point_belongs_to_a_part_and_no_part_to_the_whole() -> None:
    parts = windows(SIDE)
    assert parts.shape == (CELLS**2, SIDE, SIDE)
    assert parts.sum(axis=0).min() > 0.9
    assert parts.mean(axis=(1, 2)).max() < 0.1
    assert parts[0, 2, 2] > 0.9, "rows from the top, columns from the left"


def test_a_network_that_sees_one_corner_has_its_map_there_and_signed() -> None:
    picture, healthy = np.ones((SIDE, SIDE), np.float32), -np.ones((SIDE, SIDE), np.float32)
    edge = SIDE // CELLS

    def seen(pictures: Float) -> np.ndarray:
        return np.asarray(pictures[:, 0, :edge, -edge:].mean(axis=(1, 2)), dtype=np.float64)

    cells = occlusion_map(picture, healthy, seen)
    assert np.unravel_index(cells.argmax(), cells.shape) == (0, CELLS - 1)
    assert cells[0, -1] == pytest.approx(2, abs=0.2), "the score falls by 2, and rises by 2"
    assert np.abs(cells[2:, :-2]).max() < 1e-5
    assert occlusion_map(healthy, picture, seen)[0, -1] < -1.5, "what speaks against it is below 0"


def test_nothing_to_exchange_is_nought_and_no_division_by_it() -> None:
    picture = np.ones((SIDE, SIDE), np.float32)
    assert exchanged(picture, picture).shape == (2 + 2 * CELLS**2, 1, SIDE, SIDE)
    assert from_logits(np.ones((2 + 2 * CELLS**2, 3), np.float32)).tolist() == np.zeros((3, 5, 5)).tolist()


def test_the_mean_of_few_children_is_not_made() -> None:
    assert healthy_member(chests(40), seed=1) == {}


def test_the_mean_chest_lies_where_the_atlas_chest_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "LEAST", 6)
    member = healthy_member(chests(20), seed=1)
    stored = cv2.imdecode(np.frombuffer(member[HEALTHY_CHEST], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert stored.shape == (SIDE, SIDE)
    found = find_thorax(stored)
    assert found is not None
    assert np.abs(found.outline - OUTLINE).max() < 0.08
    chest = healthy_chest(member[HEALTHY_CHEST])
    assert healthy_on(chest, None) is chest
    assert healthy_on(chest, Thorax(OUTLINE, 1.0)) == pytest.approx(chest, abs=1e-3)


def test_a_map_is_of_the_picture_as_the_bundle_reads_it(carrying: Path) -> None:
    image = phantom(31, rows=300, columns=280, opacity=True)
    found = occlude(carrying, image)
    assert found.finding == "pneumonia"
    assert found.cells.shape == (CELLS, CELLS)
    [screening] = Bundle.load(carrying, device="cpu").screen([image])
    assert found.logit == pytest.approx(screening.findings["pneumonia"].logit, abs=0.02)
    assert occlude(carrying, image).cells == pytest.approx(found.cells, abs=1e-4), "the same again"


def test_a_bundle_without_a_healthy_chest_makes_no_map_and_still_screens(trained: Trained) -> None:
    with pytest.raises(BundleRefused, match="carries no healthy chest"):
        occlude(trained.path, phantom(1))
    assert Bundle.load(trained.path, device="cpu").screen([phantom(1)])[0].outcome == "screened"


def test_a_healthy_chest_that_was_altered_or_left_out_is_refused(carrying: Path, tmp_path: Path) -> None:
    members, _ = unseal(carrying)
    assert HEALTHY_CHEST in members
    content = carrying.read_bytes()
    chest = members[HEALTHY_CHEST]
    other = bytearray(chest)
    other[-20] ^= 1
    (tmp_path / "altered.bundle").write_bytes(content.replace(chest, bytes(other)))
    with pytest.raises(BundleRefused, match=r"altered|not a whole bundle"):
        unseal(tmp_path / "altered.bundle")
    seal(tmp_path / "no.bundle", members | {HEALTHY_CHEST: b"no picture"})
    with pytest.raises(BundleRefused, match="no picture"):
        occlude(tmp_path / "no.bundle", phantom(1))


def test_a_bundle_of_format_3_is_still_read(trained: Trained, tmp_path: Path) -> None:
    members, _ = unseal(trained.path)
    document = json.loads(members[MANIFEST]) | {"format_version": 3}
    seal(tmp_path / "older.bundle", members | {MANIFEST: json.dumps(document).encode()})
    assert (
        replace(Bundle.load(tmp_path / "older.bundle", device="cpu").manifest, sha256="").format_version == 3
    )
