"""`firstread train`: a folder in, a bundle and its figures out; budgets as people write them."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.cli.train import GO_ON_LATER, _minutes
from app.errors import Unprocessable
from models.examples import list_examples
from models.finetune import FinetuneSettings
from models.phantom import phantom
from tests.builders import a_dicom, a_png
from tests.models.conftest import Trained, drawn, trained, write_manifest
from worker.learning.labelled_images import patient_of_dicom

__all__ = ["drawn", "trained"]


@pytest.mark.parametrize(
    ("said", "minutes"), [("30m", 30), ("1h30m", 90), ("90s", 1.5), ("45", 45), ("2h", 120), (None, None)]
)
def test_a_budget_is_read_as_people_write_it(said: str | None, minutes: float | None) -> None:
    assert _minutes(said) == minutes


@pytest.mark.parametrize("said", ["", "soon", "0m", "-3", "1d"])
def test_what_is_no_budget_is_refused(said: str) -> None:
    with pytest.raises(Unprocessable, match="write it as 30m"):
        _minutes(said)


def test_quick_training_from_a_bundle_prints_figures_and_whether_more_data_would_help(
    trained: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "next.bundle"
    command = ["train", str(trained.data), "--out", str(out), "--start", str(trained.path), "--threads", "1"]
    answer = CliRunner().invoke(cli, [*command, "--features", str(tmp_path / "features"), "--version", "2"])
    assert answer.exit_code == 0, answer.output
    assert "pneumonia, plain: auc" in answer.output
    assert "pneumonia, stressed: auc" in answer.output
    assert "would hardly gain from more data of this kind" in " ".join(answer.output.split())
    assert out.exists()


def crossed(data: Path, folder: Path) -> Path:
    """The same set, with a picture of its first patient in the test split and one of the second in val."""
    shutil.copytree(data, folder)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    splits = {"p000": "test", "p001": "val"}
    for row in rows:
        row["split"] = "train"
    for number, (patient, split) in enumerate(splits.items()):
        row = next(row for row in rows if row["patient_key"] == patient)
        path = folder / f"again{number}.png"
        cv2.imwrite(str(path), phantom(900 + number, rows=116, columns=96, opacity=patient == "p001"))
        rows.append({**row, "path": path.name, "split": split})
    write_manifest(folder / "manifest.csv", rows)
    return folder


def test_patients_in_the_test_split_and_outside_it_are_refused_before_anything_is_read(
    drawn: Path, tmp_path: Path
) -> None:
    data, out = crossed(drawn, tmp_path / "data"), tmp_path / "x.bundle"
    refused = CliRunner().invoke(cli, ["train", str(data), "--out", str(out)])
    assert isinstance(refused.exception, Unprocessable)
    assert "outside it: 1 (p000)." in refused.exception.detail
    assert "--keep-test-patients-out" in refused.exception.detail
    assert list(tmp_path.iterdir()) == [data], "nothing was begun"


@pytest.mark.parametrize(
    ("use", "wrong"),
    [("[]", "lacks min_age_years"), ('{"views": ["PA"]}', "lacks min_age_years, max_age_years, modalities")],
)
def test_no_training_begins_for_an_intended_use_that_no_bundle_could_have(
    drawn: Path, tmp_path: Path, use: str, wrong: str
) -> None:
    (tmp_path / "use.json").write_text(use)
    command = ["train", str(drawn), "--out", str(tmp_path / "x.bundle")]
    refused = CliRunner().invoke(cli, [*command, "--intended-use", str(tmp_path / "use.json")])
    assert isinstance(refused.exception, Unprocessable)
    assert f"use.json cannot be used. The intended use {wrong}" in refused.exception.detail
    assert [path.name for path in tmp_path.iterdir()] == ["use.json"], "nothing was begun"


def test_thorough_training_tells_what_it_learns_from_first_and_then_each_epoch(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.finetune.GOING_ON", FinetuneSettings(epochs=2, batch=8, per_epoch=16))
    data, out = crossed(trained.data, tmp_path / "data"), tmp_path / "next.bundle"
    command = ["train", str(data), "--out", str(out), "--start", str(trained.path), "--mode", "thorough"]
    command += ["--threads", "1", "--keep-head", "--keep-test-patients-out", "--minutes", "0"]
    answer = CliRunner().invoke(cli, command)
    assert answer.exit_code == GO_ON_LATER, answer.output
    said = " ".join(answer.output.split())
    in_order = [
        "train: 20 of NORMAL, 30 of PNEUMONIA",
        "test: 1 of NORMAL",
        "Patients in the training split and in the validation split: 1 (p001).",
        "1 images were left out because their patients are in the test split.",
        "Epoch 1 of 2, minute",
        "The minutes are spent",
    ]
    assert [text for text in in_order if text not in said] == []
    assert sorted(in_order, key=said.index) == in_order
    assert re.search(r": loss \d\.\d{4}; AUC of those to choose by: plain [01]\.\d{4}, stress", said), said
    assert re.search(r"Fine-tuning \S+ 16/32 [\d,.]+/s", said), "two batches of eight pictures"


def test_classes_out_of_balance_and_more_files_than_a_dataset_has_are_told_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(7):
        path = tmp_path / "data" / ("NORMAL" if at < 2 else "PNEUMONIA") / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "x.bundle")]
    refused = CliRunner().invoke(cli, command)
    assert "of pneumonia there are 2.5 times as many pictures as of normal" in refused.output
    monkeypatch.setattr("app.cli.before_training.MOST_FILES", 6)
    too_many = CliRunner().invoke(cli, command)
    assert isinstance(too_many.exception, Unprocessable)
    assert too_many.exception.detail == "A dataset may have at most 6 files; this one has more."
    write_manifest(tmp_path / "m.csv", [{"path": f"{at}.png", "label": "NORMAL"} for at in range(7)])
    too_long = CliRunner().invoke(
        cli, ["train", str(tmp_path / "m.csv"), "--out", str(tmp_path / "x.bundle")]
    )
    assert "at most 6 files" in str(too_long.exception)


def test_dicom_files_named_by_uid_are_learnt_from_as_whose_they_are(tmp_path: Path) -> None:
    for number, label in enumerate(("NORMAL", "PNEUMONIA", "PNEUMONIA")):
        path = tmp_path / label / f"1.2.840.113619.2.{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(a_dicom(tags={"PatientID": f"A{number}"} if number else {"PatientID": ""}))
    (tmp_path / "NORMAL" / "1.2.840.113619.2.7").write_bytes(a_png())
    (tmp_path / "NORMAL" / "1.2.840.113619.2.8").write_text("no picture")
    examples, notices = list_examples(tmp_path, patient_of=patient_of_dicom)
    assert [(example.label, example.path.suffix) for example in examples] == [
        ("NORMAL", ".0"),
        ("NORMAL", ".7"),
        ("PNEUMONIA", ".1"),
        ("PNEUMONIA", ".2"),
    ]
    assert len({example.patient for example in examples}) == 4, "those that say nothing stand alone"
    assert notices == [
        "Files passed over, as they are neither DICOM nor PNG nor JPEG: 1, first 1.2.840.113619.2.8."
    ]
