"""Findings too rare to be learnt are left out and told, and the others are learnt all the same."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.dataset import Labelled, load
from models.examples import DatasetRefused, list_examples
from models.parts import learnable, parts_of
from models.start import Start
from models.train import train
from tests.models.conftest import quick_order, write_manifest


@pytest.fixture(scope="module")
def labelled(drawn: Path) -> Labelled:
    return load(list_examples(drawn)[0], side=32)


def with_rare(labelled: Labelled, *findings: str) -> Labelled:
    """The first of the findings is of two patients; the others are that of the data."""
    columns = [labelled.labels[:, 0] for _ in findings]
    columns[0] = np.isin(labelled.patients, np.unique(labelled.patients)[1:5:2]).astype(np.float32)
    return replace(labelled, findings=findings, labels=np.stack(columns, axis=1))


def test_a_bundle_is_trained_without_a_finding_of_two_patients(drawn: Path, tmp_path: Path) -> None:
    """By the alphabet the rare one comes first, and would be what training goes by."""
    data = Path(shutil.copytree(drawn, tmp_path / "data"))
    with (data / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = "EFFUSION" if row["patient_key"] in ("p002", "p003") else row["label"]
    write_manifest(data / "manifest.csv", rows)
    order = quick_order(data, tmp_path / "rare.bundle")
    manifest = train(order)
    assert [finding.name for finding in manifest.findings] == ["pneumonia"]
    assert any("Not learnt" in told and "effusion" in told for told in manifest.provenance["notices"])
    assert Bundle.load(order.out, device="cpu").manifest.findings == manifest.findings
    whole = load(list_examples(data)[0], side=96)
    assert Start.read(order.out).calibrated_on(whole).any(), "it knows its own data again"


def test_a_subtype_goes_with_its_finding_and_another_stays(labelled: Labelled) -> None:
    three = with_rare(labelled, "effusion", "bacterial effusion", "pneumonia")
    part = parts_of(three, seed=7)
    kept = learnable(three, part)
    assert kept.findings == ("pneumonia",)
    assert np.array_equal(kept.labels[:, 0], labelled.labels[:, 0])
    assert "effusion, bacterial effusion" in kept.notices[-1]
    assert learnable(labelled, parts_of(labelled, seed=7)) is labelled


def test_where_nothing_but_a_subtype_is_left_the_data_are_refused(labelled: Labelled) -> None:
    two = with_rare(labelled, "effusion", "bacterial effusion")
    with pytest.raises(DatasetRefused, match="too few patients with or without effusion"):
        learnable(two, parts_of(two, seed=7))
