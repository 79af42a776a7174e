"""A bundle speaks only in precisions in which its bounds were counted, and they hold in each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from models import runtime
from models.bundle import Bundle, default_bundle_path
from models.calibrate import bound_holds, probabilities, thresholds
from models.dataset import load
from models.examples import DatasetRefused, excluded_patients, list_examples
from models.judge import runtime_logits
from models.recalibrate import recalibrate
from models.runtime import OpenVinoRuntime, in_all_precisions
from models.start import Start
from tests.models.conftest import Trained, resealed


class Half(OpenVinoRuntime):
    """Any precision on a processor that has bf16, whatever this one has: it computes in fp32."""

    def __init__(self, members: dict[str, bytes], *, precision: str, threads: int | None = None) -> None:
        super().__init__(members, precision="fp32", threads=threads)
        self.name = f"openvino/CPU {precision}"


@pytest.mark.parametrize(("counted", "served"), [(("fp32",), "fp32"), (("fp32", "bf16"), "bf16")])
def test_half_precision_is_used_only_where_the_lanes_were_counted_in_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: tuple[str, ...], served: str
) -> None:
    cuts = {
        name: vars(replace(each, precisions=counted)) for name, each in trained.manifest.thresholds.items()
    }
    path = resealed(trained.path, tmp_path / "counted.bundle", thresholds=cuts)
    monkeypatch.setattr(runtime, "_of_the_processor", lambda: ("bf16", "fp32"))
    monkeypatch.setattr(runtime, "OpenVinoRuntime", Half)
    assert Bundle.load(path, device="cpu").runtime == f"openvino/CPU {served}"


def test_a_bundle_that_says_nothing_of_precisions_was_counted_in_fp32(
    trained: Trained, tmp_path: Path
) -> None:
    cuts = {name: dict(vars(each)) for name, each in trained.manifest.thresholds.items()}
    for each in cuts.values():
        del each["precisions"]
    path = resealed(trained.path, tmp_path / "older.bundle", thresholds=cuts)
    assert {each.precisions for each in Start.read(path).manifest.thresholds.values()} == {("fp32",)}
    assert Bundle.load(path, device="cpu").runtime == "openvino/CPU fp32"


def test_a_cut_holds_in_every_precision() -> None:
    """In the second precision three more patients with the finding look well, and three more without ill."""
    truth = np.repeat([1.0, 0.0], 300).astype(np.float32)
    patients = np.array([f"p{at}" for at in range(600)])
    first = np.where(truth > 0.5, 0.9, 0.02)
    second = first.copy()
    second[:3], second[300:312] = 0.05, 0.8
    said = {"stressed": first, "stressed_truth": truth, "truth": truth, "patients": patients}
    alone = thresholds(plain={"fp32": first}, **said)
    both = thresholds(plain={"fp32": first, "bf16": second}, **said)
    assert (alone.precisions, both.precisions) == (("fp32",), ("fp32", "bf16"))
    assert alone.rule_out is not None and both.rule_out is not None and both.rule_out <= 0.05 < alone.rule_out
    assert alone.rule_in is not None and both.rule_in is not None and both.rule_in > 0.8 >= alone.rule_in
    nobody = {"fp32": first, "bf16": np.zeros(600)}
    assert thresholds(plain=nobody, **said).rule_out is None, "no cut holds where all look well"


def test_calibrated_anew_a_bundle_has_the_network_and_the_calibration_that_it_had(
    trained: Trained, tmp_path: Path
) -> None:
    start = Start.read(trained.path)
    listed, _ = list_examples(trained.data)
    data = load(listed, side=start.manifest.input_size)
    made = recalibrate(start, data, tmp_path / "anew.bundle", version="1.1", threads=1)
    there = Start.read(tmp_path / "anew.bundle")
    assert (there.manifest.version, there.manifest.thresholds) == ("1.1", made.thresholds)
    assert made.calibration == trained.manifest.calibration
    assert made.thresholds == trained.manifest.thresholds
    assert made.provenance["calibrated_anew"] == start.name
    assert {name: there.members[name] for name in start.members if name != "manifest.json"} == {
        name: start.members[name] for name in start.members if name != "manifest.json"
    }
    with pytest.raises(DatasetRefused, match="trained on other data"):
        recalibrate(start, data.take(np.arange(len(data) - 3)), tmp_path / "no", version="2", threads=1)


def test_the_bounds_of_the_bundle_that_comes_with_the_program_hold_in_each_of_its_precisions(
    shared_data: Path,
) -> None:
    start = Start.read(default_bundle_path())
    listed, notices = list_examples(shared_data / "kermany" / "manifest.csv")
    exclude = excluded_patients([shared_data / "kermany_originals" / "manifest.csv"])
    data = load(listed, side=start.manifest.input_size, exclude=exclude, notices=notices)
    held_out = start.held_out(data)
    assert held_out is not None
    cuts, fit = start.manifest.thresholds["pneumonia"], start.manifest.calibration["pneumonia"]
    biases = [finding.bias for finding in start.manifest.findings]
    has = held_out.labels[:, 0] > 0.5
    assert len(np.unique(held_out.patients[has])) == cuts.patients_with
    for precision, through in in_all_precisions(start.members, threads=2).items():
        assert precision in cuts.precisions
        said = probabilities(runtime_logits(through, biases, held_out.images)[:, 0], fit)
        missed = np.unique(held_out.patients[has & (said < cast("float", cuts.rule_out))])
        called = np.unique(held_out.patients[~has & (said >= cast("float", cuts.rule_in))])
        assert bound_holds(len(missed), cuts.patients_with, cuts.rule_out_miss_bound), precision
        assert bound_holds(len(called), cuts.patients_without, cuts.rule_in_false_positive_bound), precision
