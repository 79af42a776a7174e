"""Uses of a locked test: counted for it and for every test that is nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import evaluation, registry
from app.commands.snapshots import Taken
from app.domain.roles import SYSTEM
from app.errors import Conflict, Unavailable
from app.records import Evaluation, Job
from app.settings import settings
from tests.app.commands.candidates import a_snapshot, a_stored_bundle, an_active_bundle, comparison
from tests.app.commands.labelled import a_dataset, record_of, taken
from tests.builders import a_bundle

CANDIDATE = "c" * 64


def a_test_of(session: Session, blobs: Blobs, *patients: int, prefix: str = "t") -> Taken:
    """A snapshot in whose locked test are the patients of these numbers."""
    files = [
        {"path": f"{prefix}{at}.png", "patient_key": f"{prefix}{at}", "split": "test"} for at in patients
    ]
    learns = {"path": f"{prefix}{patients}.png", "patient_key": "somebody", "split": "train"}
    return taken(session, blobs, a_dataset(session, [*files, learns], name=f"{prefix}{patients}"))


def used(session: Session, snapshot: Taken, *, times: int) -> None:
    for sha256 in ("b" * 64, CANDIDATE):
        a_bundle(session, sha256)
    for _ in range(times):
        session.add(
            Evaluation(
                snapshot_id=snapshot.id,
                test_sha256=record_of(session, snapshot).test_sha256,
                candidate_sha256=CANDIDATE,
                active_sha256="b" * 64,
                asked_by_name="admin",
                outcome={},
                gate=[],
                may_be_promoted=False,
            )
        )
    session.flush()


def uses(session: Session, snapshot: UUID) -> int:
    test = evaluation.locked_test(session, snapshot_id=snapshot)
    assert test is not None
    assert test.limit == settings().locked_test_uses
    return test.uses


def test_each_evaluation_is_a_use_of_the_same_test_rows(session: Session, blobs: Blobs) -> None:
    test = a_test_of(session, blobs, *range(10))
    assert uses(session, test.id) == 0
    used(session, test, times=3)
    assert uses(session, test.id) == 3
    other_rows_of_training = {"path": "more.png", "patient_key": "more", "split": "train"}
    same = [{"path": f"t{at}.png", "patient_key": f"t{at}", "split": "test"} for at in range(10)]
    again = taken(session, blobs, a_dataset(session, [*same, other_rows_of_training], name="Again"))
    assert record_of(session, again).test_sha256 == record_of(session, test).test_sha256
    assert uses(session, again.id) == 3


def test_a_test_with_few_new_patients_is_no_other_one(session: Session, blobs: Blobs) -> None:
    used(session, a_test_of(session, blobs, *range(81)), times=2)
    assert uses(session, a_test_of(session, blobs, *range(100)).id) == 2
    assert uses(session, a_test_of(session, blobs, *range(40)).id) == 2


def test_a_test_that_comes_later_and_is_nearly_the_same_counts_from_then_on(
    session: Session, blobs: Blobs
) -> None:
    first = a_test_of(session, blobs, *range(30))
    used(session, first, times=1)
    assert uses(session, first.id) == 1, "compared with what there is"
    used(session, a_test_of(session, blobs, *range(31)), times=2)
    used(session, a_test_of(session, blobs, *range(100, 130)), times=4)
    assert uses(session, first.id) == 3


def test_a_test_with_a_fifth_of_new_patients_is_refreshed(session: Session, blobs: Blobs) -> None:
    used(session, a_test_of(session, blobs, *range(80)), times=2)
    assert uses(session, a_test_of(session, blobs, *range(100)).id) == 0


def test_what_waits_on_a_test_that_is_nearly_the_same_counts(
    session: Session, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_LOCKED_TEST_USES", "2")
    settings.cache_clear()
    an_active_bundle(session, blobs)
    first, alike, other = (
        a_test_of(session, blobs, *patients) for patients in (range(81), range(90), range(200, 210))
    )
    used(session, first, times=1)
    waits, comes_late = (a_stored_bundle(session, blobs, version) for version in "23")
    evaluation.ask(session, candidate_sha256=waits, snapshot_id=first.id, by=SYSTEM)
    with pytest.raises(Conflict, match="may be used 2 times"):
        evaluation.ask(session, candidate_sha256=comes_late, snapshot_id=alike.id, by=SYSTEM)
    evaluation.ask(session, candidate_sha256=comes_late, snapshot_id=other.id, by=SYSTEM)


def test_a_snapshot_without_a_test_has_none(session: Session, blobs: Blobs) -> None:
    files = [{"path": "a.png", "patient_key": "a", "split": "train"}]
    ends = [{"path": "b.png", "patient_key": "b", "split": "test"}]
    learned = a_dataset(session, [*files, *ends], name="One")
    taken(session, blobs, learned)
    only = a_dataset(session, [files[0] | {"path": "later.png"}], name="Two")
    assert evaluation.locked_test(session, snapshot_id=taken(session, blobs, only).id) is None


def test_an_evaluation_that_found_the_disk_full_is_recorded_again_with_all_its_pictures(
    session: Session, blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_active_bundle(session, blobs)
    candidate, snapshot = a_stored_bundle(session, blobs, "2"), a_snapshot(session, blobs)
    job_id = evaluation.ask(session, candidate_sha256=candidate, snapshot_id=snapshot, by=SYSTEM)
    order_id = session.get_one(Job, job_id).subject_id
    picture = tmp_path / "mistake.png"
    picture.write_bytes(b"a picture")
    outcome = comparison()
    outcome["detail"]["mistakes"] = [{"file": str(picture)}]
    answer: dict[str, Any] = {
        "active_sha256": registry.active_bundle(session),
        "outcome": outcome,
        "gate": [],
        "may_be_promoted": False,
    }

    def full(_blobs: Blobs, _data: bytes) -> str:
        raise Unavailable("The disk is full.")

    with monkeypatch.context() as patched, pytest.raises(Unavailable):
        patched.setattr(Blobs, "put", full)
        evaluation.record(session, blobs=blobs, subject_id=order_id, answer=answer)
    evaluation.record(session, blobs=blobs, subject_id=order_id, answer=answer)
    (mistake,) = session.get_one(Evaluation, order_id).outcome["detail"]["mistakes"]
    assert blobs.read(mistake["picture_sha256"]) == b"a picture"
