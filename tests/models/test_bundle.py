"""A bundle screens, or is refused with a sentence; and no number that leaves it is not a number."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
from safetensors.torch import load, save

from models import bundle_file
from models.bundle import Bundle, BundleRefused, default_bundle_path
from models.bundle_file import IR_BIN, IR_XML, MANIFEST, WEIGHTS, seal, unseal
from models.export import openvino_model
from models.manifest import Manifest, from_json, to_json
from models.network import Network
from models.phantom import phantom
from models.preprocess import Float
from models.runtime import (
    AGREEMENT_TOLERANCE,
    Look,
    OpenVinoRuntime,
    agreement_batch,
    disagreement,
    look_of,
)
from models.torch_runtime import TorchRuntime, gpu_available
from tests.models.conftest import Trained, resealed


@pytest.fixture(scope="module")
def default_bundle() -> Bundle:
    return Bundle.load(default_bundle_path(), device="cpu")


def test_the_bundle_that_comes_with_the_program_is_small_and_says_what_it_is_for(
    default_bundle: Bundle,
) -> None:
    assert default_bundle_path().stat().st_size < 20_000_000
    manifest = default_bundle.manifest
    assert [finding.name for finding in manifest.findings if not finding.research] == ["pneumonia"]
    assert manifest.findings[0].code_value == "233604007"
    assert manifest.intended_use["min_age_years"] == 1.0
    assert manifest.intended_use["max_age_years"] == 6.0
    assert "CC BY 4.0" in manifest.provenance["data"]
    assert default_bundle.runtime.startswith("openvino/CPU ")


def test_the_map_and_the_bias_sum_to_the_logit_and_the_logit_gives_the_probability(
    default_bundle: Bundle,
) -> None:
    screening = default_bundle.screen([phantom(4, rows=500, columns=430)])[0]
    finding, manifest = screening.findings["pneumonia"], default_bundle.manifest
    total = sum(sum(row) for row in finding.activation_map) + manifest.findings[0].bias
    assert total == pytest.approx(finding.logit, abs=1e-5)
    fit = manifest.calibration["pneumonia"]
    assert finding.probability == pytest.approx(
        1 / (1 + math.exp(-(fit.slope * finding.logit + fit.intercept)))
    )
    assert screening.urgency == finding.probability
    assert finding.present == (finding.probability >= manifest.thresholds["pneumonia"].operating_point)


def test_an_image_is_answered_alike_alone_and_in_company_and_in_order(default_bundle: Bundle) -> None:
    images = [phantom(seed, rows=200 + seed, columns=300, opacity=seed % 2 == 1) for seed in range(20)]
    images.insert(7, np.zeros((300, 300), np.uint8))
    together = default_bundle.screen(images)
    assert len(together) == 21
    assert [index for index, one in enumerate(together) if one.outcome == "withheld"] == [7]
    for index in (0, 6, 8, 20):
        alone = default_bundle.screen([images[index]])[0].findings["pneumonia"].probability
        assert alone == pytest.approx(together[index].findings["pneumonia"].probability, abs=0.02)


def test_no_images_give_no_answers(default_bundle: Bundle) -> None:
    assert default_bundle.screen([]) == []


def test_research_findings_speak_only_when_asked_and_never_raise_urgency() -> None:
    silent = Bundle.load(default_bundle_path(), device="cpu").screen([phantom(3)])[0]
    asked = Bundle.load(default_bundle_path(), device="cpu", research=True).screen([phantom(3)])[0]
    assert set(silent.findings) == {"pneumonia"}
    assert set(asked.findings) == {"pneumonia", "bacterial pneumonia", "viral pneumonia"}
    assert asked.urgency == silent.urgency
    assert asked.findings["viral pneumonia"].lane == "abstain"


def test_lanes_follow_the_cuts(trained: Trained, tmp_path: Path) -> None:
    name = trained.manifest.findings[0].name
    cuts = trained.manifest.thresholds[name]
    for lane, rule_out, rule_in in (("rule-out", 1.0, 1.0), ("abstain", 0.0, 1.0), ("rule-in", 0.0, 0.0)):
        changed = {name: vars(replace(cuts, rule_out=rule_out, rule_in=rule_in, operating_point=0.5))}
        path = resealed(trained.path, tmp_path / f"{lane}.bundle", thresholds=changed)
        assert Bundle.load(path, device="cpu").screen([phantom(1)])[0].findings[name].lane == lane
    none = {name: vars(replace(cuts, rule_out=None, rule_in=None))}
    path = resealed(trained.path, tmp_path / "none.bundle", thresholds=none)
    assert Bundle.load(path, device="cpu").screen([phantom(1)])[0].findings[name].lane == "abstain"


class Broken:
    """A runtime gone wrong: its second answer holds a NaN, its third an infinity."""

    name = "broken"
    conditions: dict[str, str | int] = {}  # noqa: RUF012

    def look(self, batch: Float) -> Look:
        maps = np.ones((len(batch), 1, 3, 3), np.float32)
        maps[1, 0, 1, 1], maps[2, 0, 0, 0] = np.nan, np.inf
        return look_of([maps])


def test_a_nan_never_leaves(trained: Trained) -> None:
    answers = Bundle(trained.manifest, Broken(), research=False).screen([phantom(seed) for seed in range(4)])
    assert [answer.outcome for answer in answers] == ["screened", "withheld", "withheld", "screened"]
    assert "no finite answer" in (answers[1].reason or "")
    assert answers[1].urgency == 0


def test_openvino_and_torch_give_the_same_answers_from_the_same_bundle() -> None:
    members, sha256 = unseal(default_bundle_path())
    manifest = from_json(members[MANIFEST], sha256=sha256)
    processor = OpenVinoRuntime(members, precision="fp32")
    torch_runtime = TorchRuntime(members, findings=len(manifest.findings), device="cpu")
    batch = agreement_batch(77, 5, side=manifest.input_size)
    # Both hold half-precision weights; OpenVINO folds the batch norms into them before rounding.
    logits = [runtime.look(batch).maps.sum(axis=(2, 3)) for runtime in (processor, torch_runtime)]
    assert np.abs(logits[0] - logits[1]).max() < 0.1
    for runtime in (processor, torch_runtime):
        assert disagreement(runtime, manifest) <= AGREEMENT_TOLERANCE


def test_a_bundle_of_format_1_still_screens_and_calls_nothing_unlike(tmp_path: Path) -> None:
    members, _ = unseal(default_bundle_path())
    document = json.loads(members[MANIFEST])
    del document["familiarity"]
    weights = {
        name.removeprefix("network."): tensor
        for name, tensor in load(members[WEIGHTS]).items()
        if name.startswith("network.")
    }
    network = Network(len(document["findings"])).eval()
    network.load_state_dict(weights)
    openvino.save_model(openvino_model(network, side=document["input_size"]), tmp_path / IR_XML)
    older = {
        MANIFEST: json.dumps(document | {"format_version": 1}).encode(),
        IR_XML: (tmp_path / IR_XML).read_bytes(),
        IR_BIN: (tmp_path / IR_BIN).read_bytes(),
        WEIGHTS: save(weights),
    }
    seal(tmp_path / "older.bundle", older)
    images = [phantom(seed) for seed in range(3)]
    said, expected = (
        Bundle.load(path, device="cpu").screen(images)
        for path in (tmp_path / "older.bundle", default_bundle_path())
    )
    assert [one.unlike for one in said] == [None] * 3
    for one, other in zip(said, expected, strict=True):
        assert one.urgency == pytest.approx(other.urgency, abs=0.03)
    through_torch = TorchRuntime(older, findings=len(document["findings"]), device="cpu")
    batch = agreement_batch(77, 2, side=document["input_size"])
    assert not through_torch.look(batch).distances.any()
    assert [one.embedding for one in said] == [None] * 3
    assert through_torch.look(batch).embeddings.shape == (2, 0)


def test_cuda_is_refused_in_words_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.torch_runtime.gpu_available", lambda: False)
    with pytest.raises(BundleRefused, match="device cpu, or auto"):
        Bundle.load(default_bundle_path(), device="cuda")
    with pytest.raises(ValueError, match="auto, cpu or cuda"):
        Bundle.load(default_bundle_path(), device="tpu")


def test_a_gpu_gives_the_answers_of_the_processor(default_bundle: Bundle) -> None:
    if not gpu_available():
        pytest.skip("needs a GPU")
    images = [phantom(seed, opacity=seed % 2 == 1) for seed in range(8)]
    on_gpu = Bundle.load(default_bundle_path(), device="cuda")
    assert on_gpu.runtime == "torch/cuda bf16"
    for ours, theirs in zip(default_bundle.screen(images), on_gpu.screen(images), strict=True):
        assert ours.findings["pneumonia"].probability == pytest.approx(
            theirs.findings["pneumonia"].probability, abs=0.03
        )


def test_screening_on_a_processor_imports_no_torch() -> None:
    program = (
        "import sys; from models.bundle import Bundle, default_bundle_path; "
        "from models.phantom import phantom; "
        "answer = Bundle.load(default_bundle_path(), device='cpu').screen([phantom(1)])[0]; "
        "assert answer.outcome == 'screened'; assert 'torch' not in sys.modules, 'torch was imported'"
    )
    repository = Path(bundle_file.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=repository, timeout=120)


def test_sealing_the_same_members_gives_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    members, sha256 = unseal(trained.path)
    assert seal(tmp_path / "again.bundle", members) == sha256
    assert (tmp_path / "again.bundle").read_bytes() == trained.path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.bundle"]


def test_a_manifest_survives_its_json(trained: Trained) -> None:
    manifest: Manifest = from_json(to_json(trained.manifest), sha256="")
    assert to_json(manifest) == to_json(trained.manifest)


def test_neither_screening_nor_export_speaks_to_anybody() -> None:
    # A child would do the speaking: OpenVINO's did.
    program = """
import sys, threading
asked, speaking = [], ("socket.connect", "socket.getaddrinfo", "os.fork")
sys.addaudithook(lambda name, given: asked.append((name, given)) if name in speaking else None)
from models.bundle import Bundle, default_bundle_path
from models.export import openvino_model
from models.network import Network
from models.phantom import phantom
Bundle.load(default_bundle_path(), device="cpu").screen([phantom(1)])
openvino_model(Network(1).eval(), side=64)
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(10)
assert not asked, asked
"""
    repository = Path(bundle_file.__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=repository, timeout=120)
