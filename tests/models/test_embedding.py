"""An image's description finds its like, is the same through both runtimes, and is lacking where a bundle has
none.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino
import pytest
from safetensors.torch import load, save
from torch import Tensor, nn

from models.bundle import Bundle
from models.bundle_file import IR_BIN, IR_XML, MANIFEST, WEIGHTS, seal, unseal
from models.export import openvino_model
from models.network import Network
from models.phantom import phantom
from models.runtime import OpenVinoRuntime, agreement_batch
from models.served import EMBEDDING, Appearance, Embedding, Familiarity, Served
from models.torch_runtime import TorchRuntime
from tests.models.conftest import Trained


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    return Bundle.load(trained.path, device="cpu")


def described(bundle: Bundle, images: list[np.ndarray]) -> np.ndarray:
    return np.array([screening.embedding for screening in bundle.screen(images)])


def test_a_description_has_128_numbers_and_length_1(bundle: Bundle) -> None:
    seen = described(bundle, [phantom(seed, opacity=seed % 2 == 1) for seed in range(5)])
    assert seen.shape == (5, EMBEDDING)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(5), abs=0.01)


def test_what_is_withheld_has_no_description(bundle: Bundle) -> None:
    assert bundle.screen([np.zeros((300, 300), np.uint8)])[0].embedding is None


def test_the_same_chest_at_another_size_is_nearer_than_any_other_chest(bundle: Bundle) -> None:
    small = described(bundle, [phantom(seed, opacity=seed % 2 == 1) for seed in range(9000, 9012)])
    large = described(
        bundle,
        [phantom(seed, rows=500, columns=500, opacity=seed % 2 == 1) for seed in range(9000, 9012)],
    )
    assert (small @ large.T).argmax(axis=1).tolist() == list(range(12))


def test_what_is_nearest_has_the_same_finding(bundle: Bundle) -> None:
    seeds = range(8000, 8060)
    truth = np.array([seed % 2 for seed in seeds])
    seen = described(bundle, [phantom(seed, opacity=seed % 2 == 1) for seed in seeds])
    alike = seen @ seen.T - 2 * np.eye(len(seen))
    assert (truth[alike.argmax(axis=1)] == truth).mean() > 0.9


def test_both_runtimes_describe_alike(trained: Trained) -> None:
    members, _ = unseal(trained.path)
    batch = agreement_batch(5, 4, side=96)
    ours = OpenVinoRuntime(members, precision="fp32").look(batch).embeddings
    theirs = TorchRuntime(members, findings=1, device="cpu").look(batch).embeddings
    assert (ours * theirs).sum(axis=1) == pytest.approx(np.ones(4), abs=0.01)


class _OfFormat2(nn.Module):
    """What format 2 carried."""

    def __init__(self, network: Network, familiarity: Familiarity) -> None:
        super().__init__()
        self.network, self.familiarity = network, familiarity

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(x), self.familiarity(x)


def test_a_bundle_of_format_2_still_screens_and_describes_nothing(
    trained: Trained, bundle: Bundle, tmp_path: Path
) -> None:
    members, _ = unseal(trained.path)
    weights = load(members[WEIGHTS])
    cells = weights["appearance.weight"].shape[1]
    served = Served(Network(1), Familiarity(), Embedding(), Appearance(cells)).eval()
    served.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    older = _OfFormat2(served.network, served.familiarity).eval()
    openvino.save_model(openvino_model(older, side=96), tmp_path / IR_XML)
    kept = {
        name: tensor for name, tensor in weights.items() if not name.startswith(("embedding.", "appearance."))
    }
    document = json.loads(members[MANIFEST]) | {"format_version": 2, "appearance": {}}
    sealed = {
        MANIFEST: json.dumps(document).encode(),
        IR_XML: (tmp_path / IR_XML).read_bytes(),
        IR_BIN: (tmp_path / IR_BIN).read_bytes(),
        WEIGHTS: save(kept),
    }
    seal(tmp_path / "older.bundle", sealed)
    images = [phantom(seed) for seed in range(3)]
    for ours, theirs in zip(
        Bundle.load(tmp_path / "older.bundle", device="cpu").screen(images),
        bundle.screen(images),
        strict=True,
    ):
        assert ours.embedding is None
        assert ours.urgency == pytest.approx(theirs.urgency, abs=0.03)
    look = TorchRuntime(sealed, findings=1, device="cpu").look(agreement_batch(5, 2, side=96))
    assert look.embeddings.shape == look.appearances.shape == (2, 0)
    assert look.distances.all()
