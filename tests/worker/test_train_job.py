"""Training runs in real children: candidates come of them, a killed one goes on, and what reads stays."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

from app.blobs import Blobs
from app.commands import jobs, registry, training
from app.domain.roles import SYSTEM
from app.queries.jobs import JobShown, job
from app.queries.training import RunShown, evaluation_of, run
from app.records.engine import transaction
from app.settings import settings
from models.bundle import Bundle
from models.start import Start
from models.trained_patients import taught_by
from tests.models.conftest import Trained, draw_set, drawn, trained
from tests.worker.conftest import children_of, until
from tests.worker.snapshots import drawn_snapshot, reads_now
from worker.learning.learner import Learner
from worker.sweep import Sweeper

__all__ = ["drawn", "trained"]


@pytest.fixture
def learner(
    database: str, broker: str, blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Learner:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return Learner(blobs=blobs, folder=tmp_path / "jobs", name="tested")


def asked(blobs: Blobs, data: Path, *, tested: int = 0, **order: Any) -> tuple[UUID, UUID]:
    with transaction() as session:
        snapshot_id = drawn_snapshot(session, blobs, data, tested=tested)
        return training.ask(session, snapshot_id=snapshot_id, by=SYSTEM, **order)


def shown(run_id: UUID) -> tuple[RunShown, JobShown]:
    with transaction() as session:
        found = run(session, run_id=run_id)
        return found, job(session, job_id=found.job_id)


def told(of: JobShown) -> list[str]:
    return [line["event"] for line in of.told]


def test_quick_training_makes_a_candidate_and_asks_for_its_evaluation(
    learner: Learner, blobs: Blobs, trained: Trained
) -> None:
    active = reads_now(blobs, trained.path)
    run_id, _ = asked(blobs, trained.data, mode="quick", tested=6)
    learner.drain(stop=threading.Event())
    found, work = shown(run_id)
    assert (found.state, found.said) == ("done", None)
    assert told(work) == ["data", "learning curve", "held out", "explanations"]
    assert found.candidate == "drawn 2"
    assert set(found.figures["held_out"]["pneumonia"]) == {"plain", "stressed"}
    assert found.figures["images_per_second"] > 0
    assert found.candidate_sha256 is not None
    path = blobs.path(found.candidate_sha256)
    assert Bundle.load(path, device="cpu").manifest.version == "2"
    with transaction() as session:
        assert registry.active_bundle(session) == active, "nothing is promoted by itself"
        assert evaluation_of(session, run=found) is not None
    # The locked patients were never read.
    assert found.figures["parts"]["test, untouched"]["images"] == 0
    known = taught_by(Start.read(path).members, np.array([f"site|p{number:03d}" for number in range(40)]))
    assert known is not None
    assert known[:34].mean() > 0.8
    assert not known[34:].any()
    assert list((settings().home / "features").iterdir())


@pytest.mark.timeout(600)
def test_thorough_training_goes_on_from_its_checkpoint_after_a_kill_of_worker_and_child(
    learner: Learner, blobs: Blobs, trained: Trained, start_worker: Callable[..., Any]
) -> None:
    active = reads_now(blobs, trained.path)
    run_id, job_id = asked(blobs, trained.data, mode="thorough", budget_minutes=60.0)
    worker = start_worker(queue="training")
    until(lambda: "epoch" in told(shown(run_id)[1]), seconds=280)
    children = children_of(worker.pid)
    assert children
    for process in (worker.pid, *children):
        os.kill(process, signal.SIGKILL)
    with transaction() as session:
        session.execute(text("UPDATE jobs SET lease_expires_at = now() - interval '1 second'"))
    Sweeper(settings(), blobs=blobs).sweep()
    with transaction() as session:
        assert registry.active_bundle(session) == active
    before = told(shown(run_id)[1])
    # The job's folder is where the killed worker had it.
    another = Learner(blobs=blobs, folder=settings().home / "jobs", name="another")
    working = threading.Thread(target=another.drain, kwargs={"stop": threading.Event()})
    working.start()
    until(lambda: told(shown(run_id)[1]).count("epoch") > before.count("epoch"), seconds=280)
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
    working.join(60)
    found, work = shown(run_id)
    assert (found.state, work.attempts) == ("cancelled", 2)
    assert told(work).count("start") == 1, "the second attempt began where the first had stopped"
    assert [line["epoch"] for line in work.told if line["event"] == "epoch"] == [1, 2]


def test_what_cannot_be_learnt_from_is_refused_with_a_sentence(
    learner: Learner, blobs: Blobs, trained: Trained, tmp_path: Path
) -> None:
    """Enough images of each class, but of too few patients: that shows only when they are read."""
    active = reads_now(blobs, trained.path)
    few = draw_set(tmp_path / "few", patients=30)
    with transaction() as session:
        snapshot_id = drawn_snapshot(session, blobs, few, patients=4)
        run_id, _ = training.ask(session, snapshot_id=snapshot_id, mode="quick", by=SYSTEM)
    learner.drain(stop=threading.Event())
    found, _ = shown(run_id)
    assert found.state == "refused"
    assert "at least about 15 patients of each class" in str(found.said)
    assert found.candidate_sha256 is None
    with transaction() as session:
        assert registry.active_bundle(session) == active


def test_a_full_disk_fails_the_run_and_leaves_what_reads(
    learner: Learner, blobs: Blobs, trained: Trained, tmp_path: Path
) -> None:
    active = reads_now(blobs, trained.path)
    run_id, job_id = asked(blobs, trained.data, mode="quick")
    folder = tmp_path / "jobs" / str(job_id)
    folder.mkdir(parents=True)
    (folder / "manifest.csv").symlink_to("/dev/full")
    learner.drain(stop=threading.Event())
    found, _ = shown(run_id)
    assert found.state == "failed"
    assert "disk is full" in str(found.said)
    with transaction() as session:
        assert registry.active_bundle(session) == active


def test_a_run_that_is_cancelled_leaves_no_candidate(
    learner: Learner, blobs: Blobs, trained: Trained
) -> None:
    reads_now(blobs, trained.path)
    run_id, job_id = asked(blobs, trained.data, mode="thorough", budget_minutes=60.0)
    working = threading.Thread(target=learner.drain, kwargs={"stop": threading.Event()})
    working.start()
    until(lambda: shown(run_id)[1].progress)
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
    working.join(60)
    assert not working.is_alive()
    found, _ = shown(run_id)
    assert (found.state, found.candidate_sha256) == ("cancelled", None)
