"""`firstread predict` as a user runs it: no server, every file a line, nothing half written."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import RLELossless

from app.cli.file_list import files_of
from app.cli.predictions import run
from tests.builders import a_dicom, a_png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files good and bad."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".hidden").write_bytes(b"x")
    (folder / "a.dcm").write_bytes(a_dicom())
    (folder / "b.dcm").write_bytes(a_dicom(patient_age="044Y"))
    broken = bytearray(a_dicom(transfer_syntax=RLELossless))
    broken[1500:-10] = bytes(len(broken) - 1510)
    (folder / "c.dcm").write_bytes(bytes(broken))
    (folder / "d.txt").write_text("hello")
    (folder / "e.dcm").write_bytes(a_dicom(patient_age=None))
    (folder / "deeper" / "f.png").write_bytes(a_png())
    return folder


def predicted(paths: list[Path], out: Path, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    code = run(paths=paths, out=str(out), bundle=options.get("bundle"), device="cpu")
    lines = out.read_text().splitlines() if out.exists() else []
    return code, [json.loads(line) for line in lines]


def test_every_file_is_a_line_in_the_order_given(home: Path, folder: Path, tmp_path: Path) -> None:
    given = [folder, folder / "a.dcm", tmp_path / "nowhere.dcm"]
    code, lines = predicted(given, tmp_path / "out.jsonl")
    assert code == 0
    assert [(Path(line["path"]).name, line["outcome"]) for line in lines] == [
        ("a.dcm", "screened"),
        ("b.dcm", "withheld"),
        ("c.dcm", "failed"),
        ("d.txt", "failed"),
        ("e.dcm", "withheld"),
        ("f.png", "withheld"),
        ("a.dcm", "screened"),
        ("nowhere.dcm", "failed"),
    ]
    first = lines[0]
    assert list(first) == [
        "path",
        "sha256",
        "outcome",
        "reason",
        "findings",
        "urgency",
        "model",
        "notices",
    ]
    assert first["sha256"] == hashlib.sha256((folder / "a.dcm").read_bytes()).hexdigest()
    assert first["path"] == str(folder / "a.dcm")
    assert first["reason"] is None
    assert first["findings"].keys() == {"pneumonia"}
    assert first["findings"]["pneumonia"].keys() == {"probability", "present", "lane"}
    assert first["urgency"] == first["findings"]["pneumonia"]["probability"]
    assert first["model"].startswith("paediatric-pneumonia ")
    assert lines[1]["reason"].startswith("The patient is 44 years old")
    assert lines[1]["findings"] == {}
    assert lines[1]["urgency"] is None
    assert "damaged" in lines[2]["reason"]
    assert "not an image" in lines[3]["reason"]
    for line in lines[4:6]:  # blots, and of nobody whose age is known
        assert line["notices"] == ["age unknown"]
        assert line["reason"].startswith(
            ("The picture does not look like a chest radiograph.", "The image is unlike the radiographs")
        )
    assert lines[7]["sha256"] is None


def test_the_same_picture_gets_the_same_answer_alone_and_in_a_crowd(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crowd"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02d}.dcm").write_bytes(a_dicom(rows=256, columns=224))
    _, crowd = predicted([folder], tmp_path / "crowd.jsonl")
    assert [line["path"] for line in crowd] == sorted(line["path"] for line in crowd)
    _, alone = predicted([Path(crowd[17]["path"])], tmp_path / "alone.jsonl")
    assert alone[0]["outcome"] == crowd[17]["outcome"] == "screened"
    assert alone[0]["urgency"] == pytest.approx(crowd[17]["urgency"], abs=1e-3)


def test_nothing_readable_and_nothing_to_do_are_told_apart(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("no image")
    assert predicted([note], tmp_path / "out.jsonl")[0] == 1
    (tmp_path / "empty").mkdir()
    assert predicted([tmp_path / "empty"], tmp_path / "out2.jsonl") == (2, [])
    assert predicted([note], tmp_path / "nowhere" / "out.jsonl")[0] == 2
    assert predicted([note], tmp_path / "out3.jsonl", bundle=note) == (1, [])
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == [
        f"{tmp_path / 'nowhere' / 'out.jsonl'} cannot be written: name a file in a folder that exists.",
        said[-1],
    ]
    assert "bundle" in said[-1]


def test_lines_go_to_standard_output_alone(home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(a_png())
    command = [sys.executable, "-m", "app.cli", "predict", str(picture), "--out", "-", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [line] = [json.loads(line) for line in done.stdout.splitlines()]
    assert line["path"] == str(picture)
    assert "1 files" in done.stderr


def test_an_interrupted_run_leaves_no_file_and_no_process(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    data = a_dicom(rows=1200, columns=1000)
    for number in range(300):
        (folder / f"{number:03d}.dcm").write_bytes(data)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "app.cli", "predict", str(folder), "--out", str(out), "--device", "cpu"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # A shell that runs the tests in its background has them ignore what a terminal's Ctrl-C sends.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509, no lock is held
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.jsonl.*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert list(tmp_path.glob("*out.jsonl*")) == []


def test_a_folder_holds_its_files_by_name_without_hidden_ones_and_without_the_output(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "deeper")
    files = files_of([folder], besides=folder / "d.txt")
    assert [str(file.relative_to(folder)) for file in files] == [
        "a.dcm",
        "b.dcm",
        "c.dcm",
        "e.dcm",
        "deeper/f.png",
    ]


def test_real_radiographs_get_believable_answers(home: Path, shared_data: Path, tmp_path: Path) -> None:
    originals = shared_data / "kermany_originals"
    sick = sorted((originals / "train" / "PNEUMONIA").glob("*.jpeg"))[:12]
    well = sorted((originals / "train" / "NORMAL").glob("*.jpeg"))[:12]
    _, lines = predicted([*sick, *well, shared_data / "dicom" / "not_chest"], tmp_path / "out.jsonl")
    urgencies = [line["urgency"] for line in lines[:24]]
    assert sum(urgency > 0.5 for urgency in urgencies[:12]) >= 10
    assert sum(urgency < 0.5 for urgency in urgencies[12:]) >= 10
    assert {line["outcome"] for line in lines[24:]} == {"withheld"}
