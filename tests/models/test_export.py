"""A bundle that leaves says elsewhere what it says here, or it does not leave."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from models import export_agreement, export_formats
from models.bundle import BundleRefused, default_bundle_path
from models.bundle_file import read_bundle
from models.export_agreement import TOLERANCE, compared
from models.export_bundle import FORMATS, ExportRefused, export
from models.export_formats import class_labels
from models.export_graph import Preparation, deployed
from models.phantom import phantom
from models.preprocess import prepare
from tests.models.conftest import Trained, resealed
from tests.told_everywhere import listen

listen(ExportRefused, "args")

SHIPPED = default_bundle_path()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared on a few pictures: what a hundred say is a test of its own."""
    monkeypatch.setattr(export_agreement, "PICTURES", 4)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_agrees_with_the_bundle_on_a_hundred_pictures(kind: str, tmp_path: Path) -> None:
    told = export(SHIPPED, tmp_path / kind, kind=kind, pictures=[phantom(3, rows=700, columns=600)])
    written = json.loads((tmp_path / kind / "export.json").read_text())
    assert written == json.loads(json.dumps(told))
    assert (tmp_path / kind / written["graph"]).exists()
    agreement = written["agreement"]
    if kind == "coreml" and sys.platform != "darwin":
        assert agreement["not_run"].startswith("Core ML predicts on macOS only")
    else:
        assert agreement["pictures"] == 101
        assert set(agreement["largest_difference"]) == set(TOLERANCE)
        assert all(agreement["largest_difference"][name] <= most for name, most in TOLERANCE.items())
        assert agreement["largest_difference"]["probability"] > 0


def test_an_export_says_what_the_picture_must_look_like_and_that_it_is_no_device(
    few: None, tmp_path: Path
) -> None:
    told = export(SHIPPED, tmp_path / "out", kind="openvino")
    _, manifest = read_bundle(SHIPPED)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert told["notice"] in readme
    assert f"{manifest.input_size} x {manifest.input_size} pixels" in readme
    assert manifest.sha256 in readme and "MONOCHROME2" in readme
    assert told["intended_use"] == dict(manifest.intended_use)
    for finding, stated in zip(manifest.findings, told["findings"], strict=True):
        assert stated["calibration"]["slope"] == manifest.calibration[finding.name].slope
        assert stated["thresholds"]["rule_in"] == manifest.thresholds[finding.name].rule_in
    labels = (tmp_path / "out" / "labels.txt").read_text().split("\n")
    assert labels[:-1] == [finding.name for finding in manifest.findings]


def test_core_ml_is_a_classifier_of_pictures_of_any_size(few: None, tmp_path: Path) -> None:
    told = export(SHIPPED, tmp_path / "out", kind="coreml")
    _, manifest = read_bundle(SHIPPED)
    assert told["classes"] == {
        "labels": ["no pneumonia", "pneumonia"],
        "label": "class",
        "output": "class_probability",
    }
    assert class_labels(manifest) == ("no pneumonia", "pneumonia")
    assert told["input"]["shape"] == [1, 1, "rows", "columns"]


@pytest.mark.parametrize("size", [(64, 300), (160, 160), (321, 319), (641, 700), (1300, 977)])
def test_the_graph_prepares_a_picture_as_the_program_does(size: tuple[int, int]) -> None:
    picture = phantom(11, rows=size[0], columns=size[1], opacity=True)
    inside = Preparation(160)(torch.from_numpy(picture.astype(np.float32))[None, None])[0, 0].numpy()
    assert np.abs(inside - prepare(picture, side=160)).mean() < 0.006


def test_sixteen_bits_and_a_blank_picture_do_the_graph_no_harm() -> None:
    graph = deployed(*read_bundle(SHIPPED))
    picture = phantom(11, rows=400, columns=350).astype(np.float32)
    eight, sixteen, blank = (
        graph(torch.from_numpy(grey)[None, None]) for grey in (picture, picture * 257, picture * 0)
    )
    assert torch.allclose(eight[0], sixteen[0], atol=1e-3)
    assert all(bool(part.isfinite().all()) for part in blank)


def test_an_export_that_disagrees_is_refused_and_nothing_is_left(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph whose calibration was lost on the way."""
    write = export_formats._openvino

    def spoilt(graph, manifest, folder):  # type: ignore[no-untyped-def]
        graph.intercept += 0.5
        return write(graph, manifest, folder)

    monkeypatch.setattr(export_formats, "_openvino", spoilt)
    with pytest.raises(ExportRefused, match="disagrees with the bundle by"):
        export(SHIPPED, tmp_path / "out", kind="openvino")
    assert list(tmp_path.iterdir()) == []


def test_other_lanes_than_the_bundles_are_refused(few: None) -> None:
    members, manifest = read_bundle(SHIPPED)
    graph = deployed(members, manifest)
    graph.rule_in -= 0.6

    def ask(picture):  # type: ignore[no-untyped-def]
        with torch.inference_mode():
            said = graph(torch.from_numpy(picture)[None, None])
        return {name: values[0].numpy() for name, values in zip(graph.outputs, said, strict=True)}

    with pytest.raises(ExportRefused, match="other lanes"):
        compared(members, manifest, ask)


def test_a_folder_that_is_there_and_a_format_that_is_none_are_refused(few: None, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="is there already"):
        export(SHIPPED, tmp_path, kind="onnx")
    with pytest.raises(ExportRefused, match="no format tflite"):
        export(SHIPPED, tmp_path / "out", kind="tflite")


def test_a_format_whose_packages_are_missing_says_which(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportRefused, match="The package onnxscript is not installed here"):
        export(SHIPPED, tmp_path / "out", kind="onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_bundle_does_not_leave(few: None, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(SHIPPED.read_bytes()[:-100])
    with pytest.raises(BundleRefused):
        export(damaged, tmp_path / "out", kind="torch")


def test_a_torch_program_holds_no_pickle(few: None, tmp_path: Path) -> None:
    export(SHIPPED, tmp_path / "out", kind="torch")
    with zipfile.ZipFile(tmp_path / "out" / "network.pt2") as archive:
        held = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    assert not [name for name in held if name.endswith(".pkl")]
    assert not [name for name, data in held.items() if name.endswith(".pt") and data]
    assert not [name for name, data in held.items() if data[:2] in (b"\x80\x02", b"\x80\x04", b"PK")]


def test_a_bundle_without_a_gate_leaves_without_one(few: None, trained: Trained, tmp_path: Path) -> None:
    plain = resealed(trained.path, tmp_path / "plain.bundle", appearance={}, familiarity={})
    told = export(plain, tmp_path / "out", kind="openvino")
    assert told["gates"] == []
    assert "gate" not in [output["name"] for output in told["outputs"]]
    assert "carries no gate" in (tmp_path / "out" / "README.md").read_text()
