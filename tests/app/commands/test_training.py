"""Asking for a training: what is refused before anything begins, and that a second press is the first run."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import jobs, registry, training
from app.domain.roles import SYSTEM
from app.domain.snapshot import SnapshotRow
from app.errors import NotFound, Problem, Unprocessable
from app.records import AuditEvent, Job, Snapshot, TrainingRun
from tests.app.commands.candidates import USE, a_stored_bundle, an_active_bundle
from tests.app.commands.candidates import a_snapshot as frozen

ENOUGH = {"train": {"NORMAL": 40, "pneumonia": 40}, "val": {"NORMAL": 5}, "test": {"pneumonia": 60}}


def a_snapshot(session: Session, splits: dict[str, dict[str, int]], **more: Any) -> UUID:
    snapshot = Snapshot(
        name="autumn",
        sha256=uuid4().hex * 2,
        images=1,
        counts={"splits": splits},
        findings=["pneumonia"],
        created_by_name="ada",
        **more,
    )
    session.add(snapshot)
    session.flush()
    return snapshot.id


def test_a_run_goes_on_from_the_bundle_that_reads_and_a_second_press_is_the_first_run(
    session: Session, blobs: Blobs
) -> None:
    active = an_active_bundle(session, blobs)
    snapshot_id = a_snapshot(session, ENOUGH)
    first = training.ask(session, snapshot_id=snapshot_id, mode="quick", by=SYSTEM)
    assert training.ask(session, snapshot_id=snapshot_id, mode="quick", by=SYSTEM) == first
    run = session.get_one(TrainingRun, first[0])
    assert (run.start_sha256, run.mode, run.occasion) == (active, "quick", "asked")
    other = training.ask(session, snapshot_id=snapshot_id, mode="thorough", budget_minutes=30, by=SYSTEM)
    assert other != first
    jobs.cancel(session, job_id=first[1], by=SYSTEM)
    again = training.ask(session, snapshot_id=snapshot_id, mode="quick", by=SYSTEM)
    assert again != first, "what is over does not stand in the way"
    asked = session.scalars(select(AuditEvent).where(AuditEvent.action == "training.asked")).all()
    assert len(asked) == session.scalar(select(func.count()).select_from(TrainingRun)) == 3


def test_a_run_may_begin_from_imagenet_or_from_a_named_bundle(session: Session, blobs: Blobs) -> None:
    an_active_bundle(session, blobs)
    snapshot_id = a_snapshot(session, ENOUGH)
    run_id, _ = training.ask(
        session, snapshot_id=snapshot_id, mode="quick", start_sha256=training.IMAGENET, by=SYSTEM
    )
    assert session.get_one(TrainingRun, run_id).start_sha256 is None
    with pytest.raises(NotFound, match="no such bundle to start from"):
        training.ask(session, snapshot_id=snapshot_id, mode="quick", start_sha256="c" * 64, by=SYSTEM)


@pytest.mark.parametrize(
    ("splits", "order", "said"),
    [
        ({"train": {"NORMAL": 90}, "test": {"pneumonia": 9}}, {}, "All 90 images to learn from are of one"),
        ({"test": {"NORMAL": 60, "pneumonia": 60}}, {}, "holds nothing to learn from"),
        ({"train": {"NORMAL": 90, "pneumonia": 3}}, {}, "There are 3 images of pneumonia to learn from"),
        ({"train": {"effusion": 90, "pneumonia": 90}}, {}, "None of the classes to learn from is the normal"),
        (ENOUGH, {"mode": "thorough"}, "needs a time budget"),
        (ENOUGH, {"mode": "thorough", "budget_minutes": 0.5}, "from 1 to 10080 minutes"),
        (ENOUGH, {"mode": "slow"}, "quick or thorough"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_begins(
    session: Session, splits: dict[str, dict[str, int]], order: dict[str, Any], said: str
) -> None:
    snapshot_id = a_snapshot(session, splits)
    with pytest.raises(Unprocessable, match=said):
        training.ask(session, **{"snapshot_id": snapshot_id, "mode": "quick", "by": SYSTEM} | order)
    assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_an_unknown_snapshot_is_not_found(session: Session) -> None:
    with pytest.raises(Problem, match="no such snapshot"):
        training.ask(session, snapshot_id=uuid4(), mode="quick", by=SYSTEM)


def test_the_candidate_is_for_the_patients_of_the_network_that_reads_wherever_it_starts(
    session: Session, blobs: Blobs, tmp_path: Any
) -> None:
    an_active_bundle(session, blobs)
    wider = a_stored_bundle(session, blobs, "2", max_age_years=120.0)
    row = SnapshotRow(
        path=blobs.put(b"an image"), label="NORMAL", patient_key="p", split="train", source="import"
    )
    snapshot_id = frozen(session, blobs, [row])
    for start in (wider, None, training.IMAGENET):
        run_id, _ = training.ask(
            session, snapshot_id=snapshot_id, mode="quick", start_sha256=start, by=SYSTEM
        )
        order = training.order(session, blobs=blobs, subject_id=run_id, folder=tmp_path)
        assert order["intended_use"] == USE


def test_the_candidate_is_named_after_its_start_with_the_next_version(
    session: Session, blobs: Blobs, tmp_path: Any
) -> None:
    an_active_bundle(session, blobs, "4")
    registry.register(session, sha256="d" * 64, manifest={"name": "drawn", "version": "11.1"}, by=SYSTEM)
    image = blobs.put(b"an image")
    rows = [
        SnapshotRow(path=image, label="NORMAL", patient_key=split, split=split, source="import")
        for split in ("train", "val", "test")
    ]
    run_id, _ = training.ask(session, snapshot_id=frozen(session, blobs, rows), mode="quick", by=SYSTEM)
    order = training.order(session, blobs=blobs, subject_id=run_id, folder=tmp_path)
    assert (order["name"], order["version"]) == ("drawn", "12")
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert [line.split(",")[3] for line in lines] == ["patient_key", "train", "val"]
    assert str(blobs.path(image)) in lines[1]
