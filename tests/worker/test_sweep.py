"""The sweeper: whatever was owed and forgotten is rung for again, as often as it can be heard."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from app import looks, queue
from app.blobs import Blobs
from app.commands import deletion_rows, delivery
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.records import Study
from app.records.engine import transaction
from app.settings import settings
from tests.builders import a_png, a_screened_study, admit, claimed
from worker.sweep import Sweeper


def sweep(blobs: Blobs) -> tuple[int, int, int]:
    swept = Sweeper(settings(), blobs=blobs).sweep()
    return swept.leases_expired, swept.studies_rung, swept.deliveries_rung


def admit_some(blobs: Blobs, count: int) -> None:
    with transaction() as session:
        for _ in range(count):
            admit(session, blobs, a_png())


def test_a_bell_rings_for_each_batch_of_forgotten_studies(database: str, broker: str, blobs: Blobs) -> None:
    assert sweep(blobs) == (0, 0, 0)
    admit_some(blobs, 9)
    assert sweep(blobs) == (0, 2, 0)
    assert queue.waiting(queue.SCREENING_QUEUE) == 2


def test_bells_that_nobody_hears_do_not_pile_up(database: str, broker: str, blobs: Blobs) -> None:
    admit_some(blobs, 9)
    for _ in range(5):
        sweep(blobs)
    assert queue.waiting(queue.SCREENING_QUEUE) == 2


def test_the_studies_of_a_silent_worker_are_free_again(database: str, broker: str, blobs: Blobs) -> None:
    admit_some(blobs, 2)
    with transaction() as session:
        [study, living] = claimed(session, seconds=60)
        session.get_one(Study, study.study_id).screening_lease_expires_at -= timedelta(seconds=61)
    assert sweep(blobs) == (1, 1, 0)
    with transaction() as session:
        assert session.get_one(Study, study.study_id).state == State.ADMITTED.value
        assert session.get_one(Study, living.study_id).state == State.SCREENING.value


def test_stored_bytes_that_cannot_be_removed_keep_nothing_else_from_being_swept(
    database: str, broker: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = blobs.put(b"of nobody")
    os.utime(blobs.path(sha256), (1, 1))
    with transaction() as session:
        deletion_rows.remove(session, [sha256])
    admit_some(blobs, 1)
    for owed in ("_blobs_swept", "_orphans_listed", "_deleted"):
        sweeper = Sweeper(settings(), blobs=blobs)
        setattr(sweeper, owed, -1e9)
        with monkeypatch.context() as refusing:
            for name in ("sweep", "untouched", "set_aside"):
                refusing.setattr(Blobs, name, _refuse)
            assert sweeper.sweep().studies_rung == (owed == "_blobs_swept")
    assert blobs.has(sha256)
    sweeper._deleted = -1e9
    sweeper.sweep()
    assert not blobs.has(sha256)


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "the folder does not answer")


def test_due_deliveries_are_rung_for(database: str, broker: str, blobs: Blobs) -> None:
    with transaction() as session:
        delivery.add_destination(session, name="RIS", url="https://ris.test/", by=SYSTEM)
    a_screened_study(blobs)
    assert sweep(blobs) == (0, 0, 1)
    assert queue.waiting(queue.DUTY_QUEUE) == 1


def test_questions_whose_bell_was_lost_are_rung_for(database: str, broker: str, blobs: Blobs) -> None:
    sweep(blobs)
    assert queue.waiting(queue.DUTY_QUEUE) == 0
    looks.ask_for_counts(by=None, datasets=[], reviews=True)
    with queue.minutes() as client:
        client.delete(queue.DUTY_QUEUE)
    sweep(blobs)
    assert queue.waiting(queue.DUTY_QUEUE) == 1


def test_a_silent_broker_harms_nothing(database: str, blobs: Blobs, configure: Callable[..., None]) -> None:
    admit_some(blobs, 1)
    configure(broker_url="redis://127.0.0.1:1/0")
    sweeping = (
        "from app import queue; from worker import parts; queue.configure_from_settings();"
        "parts.sweeper().sweep(); print(queue.workers(), queue.waiting('screening'), queue.ready())"
    )
    swept = subprocess.run(
        [sys.executable, "-c", sweeping], check=False, capture_output=True, text=True, timeout=60
    )
    assert swept.returncode == 0, swept.stderr
    assert swept.stdout.splitlines()[-1] == "{} 0 False"
