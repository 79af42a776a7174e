"""Jobs from being asked for to their end, in real children."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.blobs import Blobs
from app.commands import jobs
from app.domain.roles import SYSTEM
from app.errors import Conflict
from app.queries.jobs import JobShown, job
from app.records import AuditEvent, Job
from app.records.engine import transaction
from app.settings import settings
from tests.worker import counting
from tests.worker.conftest import children_of, until
from worker.learning.kinds import KINDS
from worker.learning.learner import Learner
from worker.sweep import Sweeper


@pytest.fixture
def learner(
    database: str,
    broker: str,
    blobs: Blobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Learner]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setitem(KINDS, "count", ("tests.worker.counting", "tests.worker.counting"))
    counting.ORDER.clear()
    yield Learner(blobs=blobs, folder=tmp_path / "jobs", name="tested")
    counting.ORDER.clear()


def asked() -> UUID:
    with transaction() as session:
        return jobs.ask(session, kind="count", subject_id=uuid4(), by=SYSTEM)


def shown(job_id: UUID) -> JobShown:
    with transaction() as session:
        return job(session, job_id=job_id)


def events() -> dict[str, dict[str, object]]:
    with transaction() as session:
        return {row.action: row.details for row in session.scalars(select(AuditEvent))}


def test_a_job_is_done_and_what_it_told_stays(learner: Learner, tmp_path: Path) -> None:
    job_id = asked()
    assert learner.drain(stop=threading.Event()) == 1
    over = shown(job_id)
    assert over.state == "done"
    assert over.told == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert over.progress["stage"] == "Counting"
    assert over.progress["done"] == over.progress["of"] == 3
    assert events()["test.counted"]["sum"] == 3
    assert list((tmp_path / "jobs").iterdir()) == []


@pytest.mark.parametrize(
    ("order", "state", "said"),
    [
        ({"refused beforehand": True}, "refused", "There is nothing to count."),
        ({"too few": True}, "refused", "Nothing to count was given."),
        ({"full": True}, "failed", "The disk is full; nothing was changed. Make room and ask again."),
        ({"count": "many"}, "failed", "It broke on this machine (exit code 1)."),
    ],
)
def test_what_cannot_be_done_says_why(
    learner: Learner, order: dict[str, object], state: str, said: str
) -> None:
    counting.ORDER.update(order)
    job_id = asked()
    learner.drain(stop=threading.Event())
    assert (shown(job_id).state, shown(job_id).said) == (state, said)
    assert events()["test.given-up"] == {"state": state, "said": said}


def disk_fails(monkeypatch: pytest.MonkeyPatch, number: int) -> Callable[[], None]:
    """What is stored finds the disk so; gives what makes it whole again."""
    whole = os.fsync

    def fails(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("app.blobs.os.fsync", fails)
    return lambda: monkeypatch.setattr("app.blobs.os.fsync", whole)


def test_what_was_made_waits_for_room_on_the_disk_and_is_not_made_again(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.learning.learner._LOOK_FOR_ROOM", 0.05)
    make_room = disk_fails(monkeypatch, errno.ENOSPC)
    job_id = asked()
    working = threading.Thread(target=learner.drain, kwargs={"stop": threading.Event()})
    working.start()
    until(lambda: "waits for room" in shown(job_id).progress.get("stage", ""))
    assert shown(job_id).state == "running"
    make_room()
    working.join(20)
    assert (shown(job_id).state, shown(job_id).attempts) == ("done", 1)
    assert events()["test.counted"]["sum"] == 3


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.ENOSPC,
            "The disk was full, and an hour later still was: what was made could not be kept. "
            "Make room and ask again.",
        ),
        (errno.EIO, "This machine could not do it (OSError)."),
    ],
)
def test_a_disk_that_keeps_nothing_is_told_as_that_and_not_as_a_silent_database(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    monkeypatch.setattr("worker.learning.learner._FOR_ROOM", 0.0)
    disk_fails(monkeypatch, number)
    job_id = asked()
    assert learner.drain(stop=threading.Event()) == 1
    assert (shown(job_id).state, shown(job_id).said) == ("failed", said)
    assert events()["test.given-up"] == {"state": "failed", "said": said}
    assert "test.counted" not in events()


def test_one_that_waits_for_room_is_cancelled(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.learning.learner._LOOK_FOR_ROOM", 0.05)
    disk_fails(monkeypatch, errno.ENOSPC)
    job_id = asked()
    working = threading.Thread(target=learner.drain, kwargs={"stop": threading.Event()})
    working.start()
    until(lambda: "waits for room" in shown(job_id).progress.get("stage", ""))
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
    working.join(20)
    assert shown(job_id).state == "cancelled"


def test_a_job_without_room_for_its_folder_says_so(learner: Learner, tmp_path: Path) -> None:
    job_id = asked()
    (tmp_path / "jobs").write_text("no folder")
    learner.drain(stop=threading.Event())
    assert shown(job_id).said == "This machine could not do it (NotADirectoryError)."


def test_a_child_that_was_killed_goes_on_from_what_it_left(learner: Learner) -> None:
    counting.ORDER["killed at attempts"] = 2
    job_id = asked()
    assert learner.drain(stop=threading.Event()) == 3
    assert shown(job_id).state == "done"
    assert shown(job_id).attempts == 3


@pytest.mark.parametrize(
    ("attempts", "state", "said"), [(1, "done", None), (99, "failed", "One who counted along went away.")]
)
def test_a_child_that_says_it_broke_off_is_tried_again_and_at_last_believed(
    learner: Learner, attempts: int, state: str, said: str | None
) -> None:
    counting.ORDER["broken off at attempts"] = attempts
    job_id = asked()
    learner.drain(stop=threading.Event())
    assert (shown(job_id).state, shown(job_id).said) == (state, said)
    assert shown(job_id).attempts == min(attempts + 1, jobs.ATTEMPTS)


def test_a_child_that_stands_still_is_ended_and_tried_again(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.learning.learner._MOST_SILENT", 20.0)
    counting.ORDER["silent at attempts"] = 1
    job_id = asked()
    assert learner.drain(stop=threading.Event()) == 2
    assert shown(job_id).state == "done"


def test_a_child_that_is_killed_every_time_fails(learner: Learner) -> None:
    counting.ORDER["killed at attempts"] = 99
    job_id = asked()
    assert learner.drain(stop=threading.Event()) == jobs.ATTEMPTS
    assert shown(job_id).state == "failed"
    assert "-9" in str(shown(job_id).said)


def test_one_that_runs_is_cancelled_within_seconds(learner: Learner) -> None:
    counting.ORDER.update(count=1000, pause=0.1)
    job_id = asked()
    working = threading.Thread(target=learner.drain, kwargs={"stop": threading.Event()})
    working.start()
    until(lambda: shown(job_id).progress.get("done", 0) > 3)
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
    working.join(20)
    assert not working.is_alive()
    assert shown(job_id).state == "cancelled"
    assert events()["test.given-up"]["state"] == "cancelled"
    with transaction() as session:
        assert (
            len(session.scalars(select(AuditEvent).where(AuditEvent.action == "job.cancel-asked")).all()) == 1
        )


def test_one_that_waits_is_cancelled_before_it_begins(learner: Learner) -> None:
    job_id = asked()
    with transaction() as session:
        jobs.cancel(session, job_id=job_id, by=SYSTEM)
    learner.drain(stop=threading.Event())
    assert shown(job_id).state == "cancelled"
    assert shown(job_id).told == []


def test_what_is_over_cannot_be_cancelled(learner: Learner) -> None:
    job_id = asked()
    learner.drain(stop=threading.Event())
    with transaction() as session, pytest.raises(Conflict):
        jobs.cancel(session, job_id=job_id, by=SYSTEM)


def test_a_worker_that_must_end_gives_the_job_back(learner: Learner) -> None:
    counting.ORDER.update(count=1000, pause=0.1)
    job_id, stop = asked(), threading.Event()
    working = threading.Thread(target=learner.drain, kwargs={"stop": stop})
    working.start()
    until(lambda: shown(job_id).progress.get("done", 0) > 3)
    stop.set()
    working.join(20)
    assert shown(job_id).state == "waiting"
    assert shown(job_id).attempts == 0
    assert children_of(os.getpid()) == [] or not working.is_alive()


def test_a_worker_that_fell_silent_loses_the_job_and_the_sweeper_frees_it(
    learner: Learner, blobs: Blobs
) -> None:
    job_id = asked()
    with transaction() as session:
        claimed = jobs.claim(session, worker="dead", seconds=30)
        assert claimed is not None
        assert jobs.claim(session, worker="another", seconds=30) is None
        session.execute(text("UPDATE jobs SET lease_expires_at = now() - interval '1 second'"))
    swept = Sweeper(settings(), blobs=blobs).sweep()
    assert swept.jobs_rung == 1
    assert shown(job_id).state == "waiting"
    with transaction() as session:
        assert not jobs.keep(session, job_id=job_id, worker="dead", seconds=30, progress={}, told=[])
        assert jobs.end(session, job_id=job_id, worker="dead", state="done") is None
    learner.drain(stop=threading.Event())
    assert shown(job_id).state == "done"


def test_the_sweeper_ends_a_job_whose_workers_fell_silent_too_often(learner: Learner, blobs: Blobs) -> None:
    job_id = asked()
    for _ in range(jobs.ATTEMPTS):
        with transaction() as session:
            assert jobs.claim(session, worker="dead", seconds=30) is not None
            session.execute(text("UPDATE jobs SET lease_expires_at = now() - interval '1 second'"))
        Sweeper(settings(), blobs=blobs).sweep()
    assert shown(job_id).state == "failed"
    assert events()["test.given-up"]["state"] == "failed"


def test_what_a_killed_worker_left_of_a_job_that_is_over_is_gone(learner: Learner, tmp_path: Path) -> None:
    job_id, owed = asked(), asked()
    for one in (job_id, owed):
        (tmp_path / "jobs" / str(one)).mkdir(parents=True)
        (tmp_path / "jobs" / str(one) / "manifest.csv").write_text("P1")
    with transaction() as session:
        session.execute(
            text("UPDATE jobs SET state = 'failed', said = 'x', ended_at = now() WHERE id = :id"),
            {"id": job_id},
        )
    stop = threading.Event()
    stop.set()
    learner.drain(stop=stop)
    assert [folder.name for folder in (tmp_path / "jobs").iterdir()] == [str(owed)]


def test_jobs_are_begun_in_the_order_in_which_they_were_asked_for(learner: Learner) -> None:
    first, second = asked(), asked()
    with transaction() as session:
        assert jobs.due(session, limit=5) == [first, second]
        claimed = jobs.claim(session, worker="one", seconds=30)
        assert claimed is not None and claimed.id == first
        assert session.scalar(select(Job.state).where(Job.id == second)) == "waiting"
