"""Snapshots: the same content is the same snapshot, and whoever judges never teaches."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import registry, snapshots, training
from app.domain.known_patients import MEMBER
from app.domain.roles import SYSTEM
from app.errors import NotFound, Unprocessable
from app.records import AuditEvent, Dataset, JudgingPatient, LearnedPatient, LockedPatient
from app.records.base import now
from models.trained_patients import trained_member
from tests.app.commands.candidates import an_active_bundle
from tests.app.commands.labelled import a_dataset, patients, record_of, rows_of, splits_of, taken

BOTH_CLASSES = [*patients(300), *patients(200, label="NORMAL", prefix="n")]


def test_the_same_content_has_the_same_hash_whatever_the_order_of_arrival(
    session: Session, blobs: Blobs
) -> None:
    there = session.begin_nested()
    one = taken(session, blobs, a_dataset(session, BOTH_CLASSES))
    there.rollback()
    first = a_dataset(session, BOTH_CLASSES[250:][::-1], name="Later half")
    second = a_dataset(session, BOTH_CLASSES[:250], name="Earlier half")
    other = taken(session, blobs, second, first)
    assert other.sha256 == one.sha256
    assert other.created


def test_the_same_content_again_is_the_same_snapshot(session: Session, blobs: Blobs) -> None:
    dataset = a_dataset(session, BOTH_CLASSES)
    one, again = taken(session, blobs, dataset), taken(session, blobs, dataset, name="Another name")
    assert (again.id, again.created) == (one.id, False)
    assert record_of(session, again).name == "First"


def test_a_snapshot_says_what_it_holds(session: Session, blobs: Blobs) -> None:
    broken = [{"path": "x.png", "outcome": "unreadable"}, {"path": "y.png", "label": None}]
    snapshot = taken(session, blobs, a_dataset(session, [*BOTH_CLASSES, *broken]))
    record, rows = record_of(session, snapshot), rows_of(blobs, snapshot)
    assert record.images == len(rows) == 500
    assert record.findings == ["pneumonia"]
    for split, labels in record.counts["splits"].items():
        for label, images in labels.items():
            assert images == sum(row["split"] == split and row["label"] == label for row in rows)
    assert record.counts["datasets"] == ["Children"]
    assert record.counts["left_out"] == ["Files of the datasets that cannot be used, left out: 2."]
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "snapshot.taken")).one()
    assert event.details["images"] == 500


def test_a_preview_counts_the_same_and_changes_nothing(session: Session, blobs: Blobs) -> None:
    dataset = a_dataset(session, BOTH_CLASSES)
    seen = snapshots.preview(session, blobs=blobs, datasets=[dataset], reviews=True)
    assert session.scalar(select(LockedPatient)) is None
    assert seen.splits == record_of(session, taken(session, blobs, dataset, reviews=True)).counts["splits"]


def test_all_images_of_a_patient_are_in_one_split(session: Session, blobs: Blobs) -> None:
    files = [file | {"path": f"{at}/{file['path']}"} for file in BOTH_CLASSES for at in range(3)]
    rows = rows_of(blobs, taken(session, blobs, a_dataset(session, files)))
    assert len(rows) == 1500
    assert len({(row["patient_key"], row["split"]) for row in rows}) == 500


def test_fifteen_in_a_hundred_are_for_the_test_and_more_of_few(session: Session, blobs: Blobs) -> None:
    files = [*patients(2000), *patients(100, label="NORMAL", prefix="n")]
    record = record_of(session, taken(session, blobs, a_dataset(session, files)))
    assert 250 < record.counts["splits"]["test"]["pneumonia"] < 350
    assert 35 < record.counts["splits"]["test"]["NORMAL"] < 65


def test_further_data_move_nobody(session: Session, blobs: Blobs) -> None:
    first = a_dataset(session, BOTH_CLASSES)
    before = splits_of(blobs, taken(session, blobs, first))
    more = a_dataset(session, patients(2000, prefix="q"), name="More")
    after = splits_of(blobs, taken(session, blobs, first, more))
    assert {key: after[key] for key in before} == before
    assert {after[f"q{at}"] for at in range(2000)} == {"train", "val", "test"}


def test_a_patient_of_the_locked_test_is_never_learnt_from(session: Session, blobs: Blobs) -> None:
    before = splits_of(blobs, taken(session, blobs, a_dataset(session, BOTH_CLASSES)))
    judging = {key for key, split in before.items() if split == "test"}
    given = [
        {"path": f"again/{key}.png", "patient_key": key, "split": "train", "label": "PNEUMONIA"}
        for key in before
    ]
    ends = {"path": "stranger.png", "patient_key": "stranger", "split": "test"}
    snapshot = taken(session, blobs, a_dataset(session, [*given, ends], name="Says train"))
    after = splits_of(blobs, snapshot)
    assert {key for key, split in after.items() if split == "test"} == judging | {"stranger"}
    moved = (
        "Images that a dataset has for training and that are in the locked test, because their patients are: "
    )
    assert f"{moved}{len(judging)}." in record_of(session, snapshot).counts["left_out"]


def test_a_patient_who_was_learnt_from_never_judges(session: Session, blobs: Blobs) -> None:
    before = splits_of(blobs, taken(session, blobs, a_dataset(session, BOTH_CLASSES)))
    given = [{"path": f"again/{key}.png", "patient_key": key, "split": "test"} for key in before]
    snapshot = taken(session, blobs, a_dataset(session, given, name="Says test"))
    after = splits_of(blobs, snapshot)
    assert after == {key: split for key, split in before.items() if split == "test"}
    left = len(before) - len(after)
    [told] = record_of(session, snapshot).counts["left_out"]
    assert told.endswith(f"of patients networks may have learnt from, left out: {left}.")


def test_locked_patients_cannot_be_unlocked(session: Session, blobs: Blobs) -> None:
    taken(session, blobs, a_dataset(session, BOTH_CLASSES))
    for table in ("locked_patients", "learned_patients", "test_patients", "placed_images", "snapshots"):
        there = session.begin_nested()
        with pytest.raises(DBAPIError):
            session.execute(text(f"DELETE FROM {table}"))
        there.rollback()


def test_every_patient_is_locked_or_learnt_from_and_none_is_both(session: Session, blobs: Blobs) -> None:
    snapshot = taken(session, blobs, a_dataset(session, BOTH_CLASSES))
    splits = splits_of(blobs, snapshot)
    locked = set(session.scalars(select(LockedPatient.patient_key)))
    learned = {row.patient_key: row.split for row in session.scalars(select(LearnedPatient))}
    judging = set(session.scalars(select(JudgingPatient.patient_key)))
    assert locked == judging == {key for key, split in splits.items() if split == "test"}
    assert learned == {key: split for key, split in splits.items() if split != "test"}


def test_splits_of_a_dataset_that_names_a_test_are_kept(session: Session, blobs: Blobs) -> None:
    files = [
        file | {"split": ("train", "val", "test")[at % 3]} for at, file in enumerate(patients(60, prefix="g"))
    ]
    snapshot = taken(session, blobs, a_dataset(session, files))
    assert splits_of(blobs, snapshot) == {file["patient_key"]: file["split"] for file in files}


def test_of_a_dataset_without_a_test_one_is_drawn(session: Session, blobs: Blobs) -> None:
    files = [file | {"split": "train"} for file in BOTH_CLASSES]
    snapshot = taken(session, blobs, a_dataset(session, files))
    assert set(splits_of(blobs, snapshot).values()) == {"train", "val", "test"}


def test_two_keys_of_one_image_are_one_patient_who_is_locked_under_both(
    session: Session, blobs: Blobs
) -> None:
    ours = patients(200, prefix="a")
    theirs = [file | {"patient_key": f"MRN-{at}"} for at, file in enumerate(ours)]
    others = [file | {"path": f"other/{file['path']}"} for file in theirs]
    first = a_dataset(session, ours, name="Ours")
    snapshot = taken(session, blobs, first, a_dataset(session, [*theirs, *others], name="Theirs"))
    splits = splits_of(blobs, snapshot)
    assert len(splits) == 200
    assert len(rows_of(blobs, snapshot)) == 400
    locked = set(session.scalars(select(LockedPatient.patient_key)))
    judging = {key for key, split in splits.items() if split == "test"}
    assert len(locked) == 2 * len(judging)
    later = a_dataset(session, [{"path": f"{key}.png", "patient_key": key} for key in locked], name="Late")
    only = taken(session, blobs, later)
    assert set(splits_of(blobs, only).values()) == {"test"}


def test_images_of_the_locked_test_that_come_again_by_other_keys_are_never_learnt_from(
    session: Session, blobs: Blobs
) -> None:
    ours = patients(120, prefix="m")
    first = taken(session, blobs, a_dataset(session, ours))
    judging = {row["path"] for row in rows_of(blobs, first) if row["split"] == "test"}
    assert len(judging) > 30
    again = [file | {"patient_key": f"A-{at}", "split": "train"} for at, file in enumerate(ours)]
    others = [{"path": f"A/{at}.png", "patient_key": f"A-{at}", "split": "train"} for at in range(120)]
    keyless = [file | {"patient_key": None} for file in ours]
    for name, files in (("Renamed", [*again, *others]), ("Without keys", keyless)):
        snapshot = taken(session, blobs, a_dataset(session, files, name=name))
        rows = {row["path"]: row for row in rows_of(blobs, snapshot)}
        assert {rows[path]["split"] for path in judging} == {"test"}
        assert {row["patient_key"][0] for row in rows.values()} == {"m"}, "as it was first placed"
        splits = splits_of(blobs, snapshot)
        assert splits == splits_of(blobs, first)
    more = [{"path": f"B/{at}.png", "patient_key": f"A-{at}", "split": "train"} for at in range(120)]
    late = taken(session, blobs, a_dataset(session, more, name="Only the other key"))
    named = splits_of(blobs, late)
    assert [named[f"A-{at}"] for at in range(120)] == [splits[f"m{at}"] for at in range(120)]


def test_the_same_content_by_other_keys_locks_those_too(session: Session, blobs: Blobs) -> None:
    judge = {"path": "judge.png", "patient_key": "m", "split": "test"}
    learns = {"path": "learns.png", "patient_key": "l", "split": "train"}
    one = taken(session, blobs, a_dataset(session, [judge, learns]))
    other = taken(session, blobs, a_dataset(session, [judge | {"patient_key": "A"}, learns], name="Other"))
    assert (other.sha256, other.created) == (one.sha256, False)
    assert set(session.scalars(select(LockedPatient.patient_key))) == {"m", "A"}


def test_an_image_that_was_left_out_is_still_its_patients(session: Session, blobs: Blobs) -> None:
    files = [
        {"path": "judge.png", "patient_key": "m", "split": "test"},
        {"path": "other.png", "patient_key": "m", "split": "test"},
        {"path": "learns.png", "patient_key": "l", "split": "train"},
    ]
    otherwise = [files[1] | {"label": "PNEUMONIA"}]
    first = a_dataset(session, files)
    assert len(rows_of(blobs, taken(session, blobs, first, a_dataset(session, otherwise, name="No")))) == 2
    again = [files[1] | {"patient_key": "z", "split": "train"}]
    rows = rows_of(blobs, taken(session, blobs, a_dataset(session, again, name="Again")))
    assert [(row["patient_key"], row["split"]) for row in rows] == [("m", "test")]


def test_who_turns_out_to_have_judged_and_taught_does_neither_again(
    session: Session, blobs: Blobs, tmp_path: Path
) -> None:
    judge = {"path": "judge.png", "patient_key": "m", "split": "test"}
    files = [judge, *(file | {"split": "train"} for file in BOTH_CLASSES)]
    before = taken(session, blobs, a_dataset(session, files))
    an_active_bundle(session, blobs)
    run_id, _ = training.ask(session, snapshot_id=before.id, mode="quick", by=SYSTEM)
    for file in files:
        blobs.put(str(file["path"]).encode())

    def learnt_from() -> set[str]:
        training.order(session, blobs=blobs, subject_id=run_id, folder=tmp_path)
        with (tmp_path / "manifest.csv").open(newline="") as file:
            return {row["patient_key"] for row in csv.DictReader(file)}

    assert learnt_from() == {file["patient_key"] for file in BOTH_CLASSES}
    link = [judge | {"patient_key": "p7"}, {"path": "new.png", "patient_key": "new", "split": "train"}]
    linked = taken(session, blobs, a_dataset(session, link, name="Same patient"))
    assert [row["patient_key"] for row in rows_of(blobs, linked)] == ["new"]
    assert learnt_from() == {file["patient_key"] for file in BOTH_CLASSES} - {"p7"}


@pytest.mark.parametrize(("first", "later"), [("123", "HOSP|123"), ("HOSP|123", "123")])
def test_a_number_alone_and_with_an_issuer_are_one_patient(
    session: Session, blobs: Blobs, first: str, later: str
) -> None:
    strangers = [
        {"path": f"{key}.png", "patient_key": key, "split": "train"} for key in ("1234", "HOSP|12", "S|9")
    ]
    judge = {"path": "judge.png", "patient_key": first, "split": "test"}
    taken(session, blobs, a_dataset(session, [judge, *strangers]))
    again = [{"path": "later.png", "patient_key": later, "split": "train"}]
    others = [{"path": "north.png", "patient_key": "N|9", "split": "test"}]
    snapshot = taken(session, blobs, a_dataset(session, [*again, *others], name="Later"))
    splits = {row["path"]: row["split"] for row in rows_of(blobs, snapshot)}
    assert set(splits.values()) == {"test"} and len(splits) == 2
    assert {first, later, "N|9"} == set(session.scalars(select(LockedPatient.patient_key)))


def test_a_label_that_was_set_right_teaches_and_does_not_judge(session: Session, blobs: Blobs) -> None:
    decided = {"decision": "relabelled", "decided_by_name": "admin", "decided_at": now()}
    right = decided | {"label": "NORMAL", "brought_label": "PNEUMONIA"}
    files = [
        {"path": "changed.png", "patient_key": "a", "split": "test"} | right,
        {"path": "unnamed.png", "patient_key": "b", "split": "test"} | right | {"brought_label": None},
        {"path": "taken-in.png", "patient_key": "e", "split": "test"} | right | {"decision": "taken-in"},
        {"path": "kept.png", "patient_key": "c", "split": "test"} | right | {"brought_label": "Normal"},
        {"path": "learns.png", "patient_key": "d", "split": "train"} | right,
    ]
    snapshot = taken(session, blobs, a_dataset(session, files))
    assert splits_of(blobs, snapshot) == {"c": "test", "d": "train"}
    drawn = a_dataset(session, [file | {"split": None} | right for file in BOTH_CLASSES], name="All changed")
    assert set(splits_of(blobs, taken(session, blobs, drawn)).values()) == {"train", "val"}


def test_equal_labels_that_contradict_leave_an_image_out(session: Session, blobs: Blobs) -> None:
    files = patients(100, prefix="c")
    says_otherwise = [files[0] | {"label": "Normal"}]
    snapshot = taken(
        session, blobs, a_dataset(session, files), a_dataset(session, says_otherwise, name="Otherwise")
    )
    assert len(rows_of(blobs, snapshot)) == 99
    assert record_of(session, snapshot).counts["left_out"] == [
        "Images whose labels contradict each other, left out: 1."
    ]


def test_whom_the_active_network_knows_is_not_drawn_to_judge_it(session: Session, blobs: Blobs) -> None:
    known = [file["patient_key"] for file in BOTH_CLASSES[:250]]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as bundle:
        [(member, marks)] = trained_member(known).items()
        bundle.writestr(member, marks)
    assert member == MEMBER
    sha256 = blobs.put(packed.getvalue())
    registry.register(session, sha256=sha256, manifest={"name": "knows", "version": "1"}, by=SYSTEM)
    registry.promote(session, sha256=sha256, by=SYSTEM, reason="test")
    snapshot = taken(session, blobs, a_dataset(session, BOTH_CLASSES))
    splits = splits_of(blobs, snapshot)
    assert "test" not in {splits[key] for key in known}
    assert "test" in splits.values()
    [told] = record_of(session, snapshot).counts["left_out"]
    assert told.startswith("Patients the active network has learnt from, not drawn for the test: 25")


def test_what_cannot_be_taken_is_refused_with_a_sentence(session: Session, blobs: Blobs) -> None:
    with pytest.raises(NotFound):
        taken(session, blobs, uuid4())
    with pytest.raises(Unprocessable, match="no labelled image"):
        taken(session, blobs)
    with pytest.raises(Unprocessable, match="name"):
        taken(session, blobs, a_dataset(session, BOTH_CLASSES[:3]), name=" ")
    waiting = Dataset(name="New", state="inspecting", created_by_name="admin")
    session.add(waiting)
    session.flush()
    with pytest.raises(Unprocessable, match="not ready"):
        taken(session, blobs, waiting.id)
