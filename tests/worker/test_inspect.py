"""Inspections: real files, and what is told of them."""

from __future__ import annotations

import io
import stat
import struct
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest

from app.blobs import Blobs
from app.commands import dataset_labels, datasets
from app.commands.datasets import SentFile
from app.domain.roles import SYSTEM
from app.queries.datasets import DatasetShown, FileShown, dataset, files
from app.records.engine import transaction
from app.settings import settings
from app.told import untold
from models.bundle import default_bundle_path
from tests.builders import a_dicom
from tests.models.conftest import resealed
from tests.worker.datasets import drawn_chests, png, reads_drawings
from tests.worker.here import LearnerHere
from worker.learning.child import Refused
from worker.learning.inspect_child import run
from worker.learning.learner import Learner
from worker.learning.unpack import Limits, ZipRefused, unpack


@pytest.fixture
def learner(database: str, broker: str, blobs: Blobs, tmp_path: Path) -> Iterator[Learner]:
    reads_drawings(blobs, tmp_path)
    yield LearnerHere(blobs=blobs, folder=tmp_path / "jobs", name="tested")


def brought(blobs: Blobs, sent: Mapping[str, bytes]) -> UUID:
    """A dataset of these files."""
    with transaction() as session:
        dataset_id = datasets.begin(session, name="test", by=SYSTEM)
        kept = [
            SentFile(path=path, sha256=blobs.put(data), byte_size=len(data)) for path, data in sent.items()
        ]
        datasets.receive(session, dataset_id=dataset_id, files=kept, by=SYSTEM)
    return dataset_id


def inspected(learner: Learner, dataset_id: UUID) -> tuple[DatasetShown, dict[str, FileShown]]:
    with transaction() as session:
        datasets.ask_to_inspect(session, dataset_id=dataset_id, by=SYSTEM)
    assert learner.drain(stop=threading.Event()) == 1
    with transaction() as session:
        shown = dataset(session, dataset_id=dataset_id)
        found, _ = files(session, dataset_id=dataset_id, size=10_000)
    return shown, {file.path: file for file in found}


def zipped(sent: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sent.items():
            archive.writestr(path, data)
    return packed.getvalue()


def test_a_mixed_folder_is_told_file_by_file(learner: Learner, blobs: Blobs) -> None:
    sent = {f"ward/{path}": data for path, data in drawn_chests(each=18).items()}
    same = sent["ward/NORMAL/patient0.png"]
    first = np.frombuffer(sent["ward/NORMAL/patient1.png"], np.uint8)
    nearly = cv2.imencode(".jpg", cv2.imdecode(first, cv2.IMREAD_GRAYSCALE), [cv2.IMWRITE_JPEG_QUALITY, 60])
    lateral = a_dicom(rows=160, columns=160, patient_id="P9", tags={"ViewPosition": "LL"})
    sent |= {
        "ward/NORMAL/again.png": same,
        "ward/NORMAL/recompressed.jpg": nearly[1].tobytes(),
        "ward/PNEUMONIA/wrong.png": sent["ward/NORMAL/patient2.png"],
        "ward/PNEUMONIA/lateral.dcm": lateral,
        "ward/PNEUMONIA/broken.png": same[: len(same) // 2],
        "ward/PNEUMONIA/notes.txt": b"not a radiograph at all",
        "ward/PNEUMONIA/page.dcm": b"<!doctype html><title>Sign in</title>" + b" " * 2000,
        "ward/.DS_Store": b"junk",
        "ward/loose.png": png(77_777, opacity=False),
    }
    shown, found = inspected(learner, brought(blobs, sent))
    assert shown.state == "ready", shown.said
    outcomes = {path: file.outcome for path, file in found.items() if file.outcome != "usable"}
    assert outcomes == {
        "ward/NORMAL/patient0.png": "duplicate",
        "ward/NORMAL/patient2.png": "contradicting",
        "ward/PNEUMONIA/wrong.png": "contradicting",
        "ward/PNEUMONIA/lateral.dcm": "withheld",
        "ward/PNEUMONIA/broken.png": "unreadable",
        "ward/PNEUMONIA/notes.txt": "not-an-image",
        "ward/PNEUMONIA/page.dcm": "not-an-image",
        "ward/.DS_Store": "not-an-image",
        "ward/loose.png": "unlabelled",
    }
    assert all(file.reason for path, file in found.items() if path in outcomes)
    assert found["ward/PNEUMONIA/wrong.png"].copy_of == "ward/NORMAL/patient2.png"
    near = found["ward/NORMAL/recompressed.jpg"]
    assert near.copy_of == "ward/NORMAL/patient1.png"
    assert near.patient_key == "patient1", "no split parts them"
    assert found["ward/PNEUMONIA/lateral.dcm"].patient_key == "P9"
    assert found["ward/PNEUMONIA/lateral.dcm"].facts["age_years"] == 3
    assert found["ward/NORMAL/patient3.png"].thumbnail_sha256 is not None
    assert {one.label: one.pictures for one in shown.classes} == {"normal": 18, "pneumonia": 18}
    assert any("contradict" in warning for warning in shown.inspection["warnings"])


def test_patients_in_two_splits_are_refused_with_the_list_and_can_be_kept_in_one(
    learner: Learner, blobs: Blobs
) -> None:
    sent = {f"train/{path}": data for path, data in drawn_chests(each=18).items()}
    sent |= {f"validation/{path}": data for path, data in drawn_chests(each=16, first=50).items()}
    sent["test/NORMAL/patient3_2.png"] = png(9999, opacity=False)
    dataset_id = brought(blobs, sent)
    shown, _ = inspected(learner, dataset_id)
    assert shown.state == "refused"
    assert shown.said is not None
    assert "more than one split" in shown.said
    assert shown.inspection["crossing"] == [{"patient": "patient3", "splits": {"train": 1, "test": 1}}]
    with transaction() as session:
        dataset_labels.keep_in_one_split(session, dataset_id=dataset_id, by=SYSTEM)
    shown, found = inspected(learner, dataset_id)
    assert shown.state == "ready", shown.said
    assert found["train/NORMAL/patient3.png"].outcome == "left-out"
    assert found["test/NORMAL/patient3_2.png"].outcome == "usable"
    assert found["validation/NORMAL/patient50.png"].split == "val"


def test_a_manifest_names_labels_patients_and_splits(learner: Learner, blobs: Blobs) -> None:
    chests = drawn_chests(each=16)
    lines = ["path,label,patient_key,split,age,sex,view"]
    sent = {}
    for number, (path, data) in enumerate(chests.items()):
        sent[f"data/images/{number}.png"] = data
        lines.append(f"images/{number}.png,{path.split('/')[0]},who{number},train,4,F,PA")
    lines.append("images/nobody.png,NORMAL,who99,train,4,F,PA")
    sent["data/manifest.csv"] = "\n".join(lines).encode()
    sent["data/images/unnamed.png"] = png(4711, opacity=False)
    shown, found = inspected(learner, brought(blobs, sent))
    assert shown.state == "ready", shown.said
    assert found["data/images/3.png"].patient_key == "who3"
    assert found["data/images/3.png"].facts["sex"] == "F"
    assert found["data/images/3.png"].facts["age_years"] == 4
    assert found["data/images/unnamed.png"].outcome == "unlabelled"
    assert shown.outcomes["manifest"] == 1
    assert any("nobody sent: 1" in warning for warning in shown.inspection["warnings"])


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (lambda: {"NORMAL/readme.txt": b"hello"}, "no radiograph among the files"),
        (lambda: {f"NORMAL/{n}.png": png(n, opacity=False) for n in range(3)}, "of one class (normal)"),
        (
            lambda: {f"{label}/{n}.png": png(n, opacity=label == "b") for label in "ab" for n in (20, 30)},
            "None of the classes (a, b) is the normal one",
        ),
        (lambda: drawn_chests(each=5), "too few patients of the class"),
        (lambda: {"NORMAL/1.png": b"\x89PNG\r\n\x1a\nbroken"}, "None of the pictures can be used (1). "),
        (lambda: {"manifest.csv": b"file,class\n", "1.png": png(1, opacity=False)}, "no column label"),
        (lambda: {"manifest.csv": b"path,label\n1.png,\n", "1.png": png(1, opacity=False)}, "has no label"),
        (lambda: {"manifest.csv": b"\xff\xfe\x00path", "1.png": png(1, opacity=False)}, "not a CSV"),
    ],
    ids=["no images", "one class", "no normal", "ten images", "broken", "columns", "labels", "no csv"],
)
def test_what_no_network_can_learn_from_is_refused_with_its_sentence(
    blobs: Blobs, tmp_path: Path, sent: Callable[[], dict[str, bytes]], said: str
) -> None:
    try:
        answer = run(order_of(blobs, sent(), tmp_path), report=lambda *_: None, tell=None)
    except Refused as refusal:
        answer = {"said": str(refusal)}
    assert said in answer["said"]


def order_of(blobs: Blobs, sent: Mapping[str, bytes], folder: Path) -> dict[str, Any]:
    """What the child is told of these files."""
    bundle = resealed(default_bundle_path(), folder / "open.bundle", familiarity={}, appearance={})
    return {
        "files": [
            {"path": path, "sha256": blobs.put(data), "byte_size": len(data)} for path, data in sent.items()
        ],
        "blobs": str(settings().blob_folder),
        "bundle": str(bundle),
        "features": str(folder / "features"),
        "decoders": {"seconds": 20, "memory_bytes": 2**30},
        "limits": {"file_bytes": 2**28},
        "folder": str(folder),
    }


def a_link() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("NORMAL/1.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return packed.getvalue()


def encrypted() -> bytes:
    data = bytearray(zipped({"NORMAL/1.png": b"x" * 100}))
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def with_backslashes() -> bytes:
    return zipped({"NORMAL/1.png": b"x"}).replace(b"NORMAL/1.png", b"NORMAL\\1.png")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: zipped({"NORMAL/1.png": b"\0" * 50_000_000}), "zip bomb"),
        (lambda: zipped({"../../NORMAL/1.png": b"x"}), "leads out of it"),
        (lambda: zipped({"/NORMAL/1.png": b"x"}), "leads out of it"),
        (lambda: zipped({"NORMAL/inner.zip": zipped({"1.png": b"x"})}), "another archive"),
        (a_link, "link to another file"),
        (encrypted, "encrypted"),
        (with_backslashes, "backslashes"),
        (lambda: zipped({"NORMAL/1.png": b"x" * 5000})[:-40], "damaged"),
        (lambda: b"no zip", "damaged"),
    ],
    ids=["bomb", "climbs", "absolute", "nested", "link", "encrypted", "backslashes", "cut", "none"],
)
def test_a_hostile_zip_is_refused_with_its_sentence(
    blobs: Blobs, tmp_path: Path, data: Callable[[], bytes], said: str
) -> None:
    archive = tmp_path / "ward.zip"
    archive.write_bytes(data())
    with pytest.raises(ZipRefused) as refused:
        unpack(archive, name="ward.zip", blobs=blobs, limits=Limits(10, 2**27, 2**28))
    assert said in str(refused.value)
    assert untold(str(refused.value), of="zh_Hans") == []


def test_what_a_zip_may_become_is_limited(blobs: Blobs, tmp_path: Path) -> None:
    archive = tmp_path / "ward.zip"
    archive.write_bytes(zipped({f"NORMAL/{number}.png": png(number, opacity=False) for number in range(4)}))
    for limits, said in (
        (Limits(3, 2**20, 2**30), "holds 4 files"),
        (Limits(9, 100, 2**30), "a file may have at most 100"),
        (Limits(9, 2**20, 1000), "there is room for"),
    ):
        with pytest.raises(ZipRefused, match=said):
            unpack(archive, name="ward.zip", blobs=blobs, limits=limits)
    found = unpack(archive, name="ward.zip", blobs=blobs, limits=Limits(9, 2**20, 2**30))
    assert [one.path for one in found] == [f"ward/NORMAL/{number}.png" for number in range(4)]
    assert all(blobs.has(one.sha256) for one in found)


def bare_entries(count: int, *, zip64: bool, name: bytes = b"") -> bytes:
    """A zip that is nothing but the list of its files."""
    entry = b"PK\x01\x02" + bytes(24) + len(name).to_bytes(2, "little") + bytes(16) + name
    listed = entry * count
    ends = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(listed), 0, 0)
    if zip64:
        ends = (
            struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(listed), 0)
            + struct.pack("<4sLQL", b"PK\x06\x07", 0, len(listed), 1)
            + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF, 0, 0)
        )
    return listed + ends


@pytest.mark.parametrize("zip64", [False, True])
def test_a_zip_that_lists_millions_of_files_is_refused_before_they_are_in_memory(
    blobs: Blobs, tmp_path: Path, zip64: bool
) -> None:
    archive = tmp_path / "ward.zip"
    archive.write_bytes(bare_entries(300_000, zip64=zip64))
    limits = Limits(100_000, 2**27, 2**28)
    tracemalloc.start()
    try:
        with pytest.raises(ZipRefused, match="holds 300,000 files"):
            unpack(archive, name="ward.zip", blobs=blobs, limits=limits)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    archive.write_bytes(bare_entries(10, zip64=zip64, name=b"x" * 60_000))
    with pytest.raises(ZipRefused, match="damaged"):
        unpack(archive, name="ward.zip", blobs=blobs, limits=Limits(9, 2**27, 2**28))


def test_a_file_of_a_zip_that_is_longer_than_it_says_is_not_read_on(blobs: Blobs, tmp_path: Path) -> None:
    data = bytearray(zipped({"NORMAL/1.png": bytes(range(256)) * 100}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        where = data.index(mark) + at
        data[where : where + 4] = (100).to_bytes(4, "little")
    archive = tmp_path / "ward.zip"
    archive.write_bytes(bytes(data))
    with pytest.raises(ZipRefused, match="damaged"):
        unpack(archive, name="ward.zip", blobs=blobs, limits=Limits(9, 2**20, 2**30))


def test_a_lone_zip_that_is_hostile_refuses_the_dataset(learner: Learner, blobs: Blobs) -> None:
    dataset_id = brought(blobs, {"ward.zip": zipped({"NORMAL/1.png": b"\0" * 50_000_000})})
    shown, found = inspected(learner, dataset_id)
    assert shown.state == "refused"
    assert "zip bomb" in (shown.said or "")
    assert list(found) == ["ward.zip"]


def test_a_zip_among_files_that_is_hostile_costs_itself_alone(learner: Learner, blobs: Blobs) -> None:
    sent = drawn_chests(each=16) | {"more.zip": zipped({"../NORMAL/1.png": b"x"})}
    shown, found = inspected(learner, brought(blobs, sent))
    assert shown.state == "ready", shown.said
    assert found["more.zip"].outcome == "unreadable"
    assert "leads out of it" in (found["more.zip"].reason or "")


def test_planted_label_errors_come_first_and_a_label_set_right_stays_so(
    learner: Learner, blobs: Blobs
) -> None:
    sent = drawn_chests(each=40)
    planted = {"NORMAL/patient3.png": "PNEUMONIA/x3.png", "PNEUMONIA/patient507.png": "NORMAL/x7.png"}
    for right, wrong in planted.items():
        sent[wrong] = sent.pop(right)
    dataset_id = brought(blobs, sent)
    shown, found = inspected(learner, dataset_id)
    assert shown.inspection["doubted"]
    ranked = sorted(found.values(), key=lambda file: -(file.doubt or 0))
    assert set(planted.values()) <= {file.path for file in ranked[: len(ranked) // 10]}
    wrong_one = found["NORMAL/x7.png"]
    assert wrong_one.facts["thinks"] == "pneumonia"
    with transaction() as session:
        dataset_labels.set_label(
            session, dataset_id=dataset_id, file_id=wrong_one.id, label="PNEUMONIA", by=SYSTEM
        )
    _, found = inspected(learner, dataset_id)
    again = found["NORMAL/x7.png"]
    assert (again.label, again.brought_label, again.decided_by) == ("PNEUMONIA", "NORMAL", SYSTEM.name)
    assert again.doubt is not None
    assert again.doubt < 0.5


@pytest.mark.parametrize("label_first", [True, False])
def test_withheld_pictures_can_be_taken_in_and_keep_a_label_that_was_set_right(
    learner: Learner, blobs: Blobs, label_first: bool
) -> None:
    path = "PNEUMONIA/old.dcm"
    sent = drawn_chests(each=16) | {path: a_dicom(rows=160, columns=160, patient_age="060Y")}
    dataset_id = brought(blobs, sent)
    _, found = inspected(learner, dataset_id)
    assert found[path].outcome == "withheld"

    def set_right() -> None:
        with transaction() as session:
            dataset_labels.set_label(
                session, dataset_id=dataset_id, file_id=found[path].id, label="NORMAL", by=SYSTEM
            )

    if label_first:
        set_right()
    with transaction() as session:
        assert dataset_labels.take_in_withheld(session, dataset_id=dataset_id, by=SYSTEM) == 1
    if not label_first:
        set_right()
    for _ in range(2):
        _, again = inspected(learner, dataset_id)
        assert again[path].outcome == "usable"
        assert (again[path].label, again[path].brought_label) == ("NORMAL", "PNEUMONIA")
    with transaction() as session:
        other = SentFile(path=path, sha256=blobs.put(a_dicom(patient_age="060Y")), byte_size=1)
        datasets.receive(session, dataset_id=dataset_id, files=[other], by=SYSTEM)
    _, again = inspected(learner, dataset_id)
    assert (again[path].outcome, again[path].label) == ("withheld", "PNEUMONIA"), "another picture"
