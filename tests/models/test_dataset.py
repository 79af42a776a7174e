"""Labelled files, whose they are, and parts that no patient shares."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.dataset import finding_names, load, split_by_patient
from models.examples import DatasetRefused, excluded_patients, list_examples, patient_from_name, patient_named
from models.phantom import phantom
from tests.models.conftest import draw_set, write_manifest


def put(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), phantom(seed, rows=64, columns=64))
    return path


def test_a_folder_per_class_is_read_by_its_names(tmp_path: Path) -> None:
    put(tmp_path / "NORMAL" / "a.png", 1)
    put(tmp_path / "Pneumonia" / "b.png", 2)
    (tmp_path / "Pneumonia" / "notes.txt").write_text("not an image")
    examples, notices = list_examples(tmp_path)
    assert [(example.label, example.path.name, example.split) for example in examples] == [
        ("NORMAL", "a.png", ""),
        ("Pneumonia", "b.png", ""),
    ]
    assert notices == ["Files passed over, as they are neither DICOM nor PNG nor JPEG: 1, first notes.txt."]
    assert finding_names(examples) == ("pneumonia",)


def test_classes_below_train_and_test_keep_their_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            put(tmp_path / split / label / f"{split}{label}.png", 1)
    examples, _ = list_examples(tmp_path)
    assert {(example.split, example.label) for example in examples} == {
        (split, label) for split in ("train", "test") for label in ("NORMAL", "PNEUMONIA")
    }


def test_a_manifest_names_patients_splits_and_duplicates(tmp_path: Path) -> None:
    rows = [
        {"path": "a.png", "label": "NORMAL", "patient_key": "p1", "split": "train", "duplicate_of": ""},
        {"path": "b.png", "label": "PNEUMONIA", "patient_key": "p2", "split": "", "duplicate_of": ""},
        {"path": "c.png", "label": "PNEUMONIA", "patient_key": "p2", "split": "", "duplicate_of": "b.png"},
    ]
    examples, notices = list_examples(write_manifest(tmp_path / "any.csv", rows))
    assert [(example.patient, example.split) for example in examples] == [("p1", "train"), ("p2", "")]
    assert notices == ["1 images marked as duplicates were left out."]


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person12_bacteria_47.jpeg", "person12_bacteria"),
        ("NORMAL2-IM-0587-0001-0002.jpeg", "NORMAL2-IM-0587"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("study_77.png", "study_77"),
    ],
)
def test_the_numbering_of_the_public_set_gives_patients_and_other_files_stand_alone(
    name: str, patient: str
) -> None:
    assert patient_from_name(Path(name)) == patient


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ((), "No images were found"),
        (("PNEUMONIA", "PNEUMONIA"), "All 2 images are of one class"),
        (("effusion", "pneumonia"), "name its folder NORMAL"),
        (("normal", "healthy"), "one folder must be named for a finding"),
    ],
)
def test_data_without_a_comparison_are_refused_in_words(
    tmp_path: Path, labels: tuple[str, ...], sentence: str
) -> None:
    for number, label in enumerate(labels):
        put(tmp_path / label / f"{number}.png", number)
    with pytest.raises(DatasetRefused, match=sentence):
        finding_names(list_examples(tmp_path)[0])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('a.png,x,"open\n' + "b.png,y,who\n" * 40, "Line 2 .* patient_key of more than 200"),
        ('a.png,"open\n' + "b.png,y,who\n" * 20, "Line 2 .* label or subtype of more than 60"),
        ("a.png,x\0,who\n", "Line 2 .* NUL"),
        ("a.png,x,who,\0\n", "Line 2 .* NUL"),
        ("a.png,x,who,view,beside\0\n", "Line 2 .* NUL"),
    ],
    ids=["open key", "open label", "NUL in the label", "NUL in a fact", "NUL beside the columns"],
)
def test_a_manifest_whose_cells_no_database_takes_is_refused(
    tmp_path: Path, line: str, sentence: str
) -> None:
    (tmp_path / "m.csv").write_text(f"path,label,patient_key,view\n{line}")
    with pytest.raises(DatasetRefused, match=sentence):
        list_examples(tmp_path / "m.csv")


def test_a_name_of_more_digits_than_a_patient_has_names_nobody() -> None:
    assert patient_named(Path("NORMAL/patient" + "7" * 300 + ".png")) is None
    assert patient_named(Path("NORMAL/person" + "7" * 300 + "_virus_1.png")) is None
    assert patient_named(Path("NORMAL/patient77.png")) == "patient77"


def test_a_manifest_with_faults_is_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetRefused, match="no column label"):
        list_examples(write_manifest(tmp_path / "m.csv", [{"path": "a.png"}]))
    with pytest.raises(DatasetRefused, match=r"Line 2 .* split 'dev'"):
        list_examples(write_manifest(tmp_path / "m.csv", [{"path": "a.png", "label": "x", "split": "dev"}]))
    with pytest.raises(DatasetRefused, match="nothing at"):
        list_examples(tmp_path / "absent")


def test_unreadable_files_are_left_out_and_told_and_do_not_end_the_run(tmp_path: Path) -> None:
    put(tmp_path / "NORMAL" / "a.png", 1)
    put(tmp_path / "PNEUMONIA" / "b.png", 2)
    (tmp_path / "NORMAL" / "broken.png").write_bytes(b"\x89PNG and no more")
    (tmp_path / "NORMAL" / "empty.jpg").write_bytes(b"")
    data = load(list_examples(tmp_path)[0], side=32)
    assert len(data) == 2
    assert data.labels.tolist() == [[0.0], [1.0]]
    assert any("2 files could not be read" in notice for notice in data.notices)


def test_nothing_readable_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / label).mkdir()
        (tmp_path / label / f"{label}.png").write_bytes(b"no")
    with pytest.raises(DatasetRefused, match=r"None of the 2 images .* NORMAL\.png: it is not a PNG or JPEG"):
        load(list_examples(tmp_path)[0], side=32)


def test_excluded_patients_are_not_even_read(tmp_path: Path) -> None:
    data = draw_set(tmp_path / "set", patients=8)
    held = write_manifest(tmp_path / "held.csv", [{"patient_key": "p001"}, {"patient_key": "p002"}])
    seen: list[Path] = []

    def reader(path: Path) -> np.ndarray:
        seen.append(path)
        return phantom(len(seen), rows=64, columns=64)

    labelled = load(list_examples(data)[0], side=32, read_image=reader, exclude=excluded_patients([held]))
    assert not {"p001", "p002"} & set(labelled.patients)
    assert not [path for path in seen if path.name.startswith(("p001", "p002"))]
    with pytest.raises(DatasetRefused, match="names no patient"):
        excluded_patients([write_manifest(tmp_path / "none.csv", [{"path": "x"}])])


def test_a_patient_of_the_test_split_is_not_trained_on_under_another_name_of_split(tmp_path: Path) -> None:
    rows = [
        {"path": "a.png", "label": "NORMAL", "patient_key": "p1", "split": "train"},
        {"path": "b.png", "label": "NORMAL", "patient_key": "p1", "split": "test"},
        {"path": "c.png", "label": "PNEUMONIA", "patient_key": "p2", "split": "train"},
    ]
    for number, row in enumerate(rows):
        put(tmp_path / row["path"], number)
    data = load(list_examples(write_manifest(tmp_path / "manifest.csv", rows))[0], side=32)
    assert data.splits.tolist() == ["test", "train"]
    assert data.patients.tolist() == ["p1", "p2"]


def test_copies_stay_once_and_contradicting_copies_not_at_all(tmp_path: Path) -> None:
    put(tmp_path / "NORMAL" / "a.png", 1)
    put(tmp_path / "NORMAL" / "a_again.png", 1)
    put(tmp_path / "NORMAL" / "c.png", 3)
    put(tmp_path / "PNEUMONIA" / "b.png", 2)
    put(tmp_path / "PNEUMONIA" / "c_too.png", 3)
    data = load(list_examples(tmp_path)[0], side=32)
    assert [Path(path).name for path in data.paths] == ["a.png", "b.png"]
    assert any("different labels" in notice for notice in data.notices)
    assert any("exact copies" in notice for notice in data.notices)


def test_subtypes_become_research_findings(tmp_path: Path) -> None:
    rows = [
        {"path": "a.png", "label": "NORMAL", "subtype": ""},
        {"path": "b.png", "label": "PNEUMONIA", "subtype": "bacteria"},
        {"path": "c.png", "label": "PNEUMONIA", "subtype": "virus"},
    ]
    for number, row in enumerate(rows):
        put(tmp_path / row["path"], number)
    data = load(list_examples(write_manifest(tmp_path / "manifest.csv", rows))[0], side=32)
    assert data.findings == ("pneumonia", "bacterial pneumonia", "viral pneumonia")
    assert data.labels.tolist() == [[0, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_a_split_keeps_patients_whole_keeps_its_shares_and_is_the_same_every_time() -> None:
    patients = np.array([f"p{number // 3}" for number in range(900)])
    strata = np.array([(number // 3) % 2 for number in range(900)])
    part = split_by_patient(patients, shares=(0.7, 0.1, 0.2), seed=3, strata=strata)
    for patient in np.unique(patients):
        assert len(set(part[patients == patient])) == 1
    assert [int((part == number).sum()) for number in range(3)] == [630, 90, 180]
    for number in range(3):
        assert strata[part == number].mean() == pytest.approx(0.5)
    shuffled = np.random.default_rng(0).permutation(900)
    again = split_by_patient(patients[shuffled], shares=(0.7, 0.1, 0.2), seed=3, strata=strata[shuffled])
    assert np.array_equal(again, part[shuffled])
    assert not np.array_equal(part, split_by_patient(patients, shares=(0.7, 0.1, 0.2), seed=4, strata=strata))
