"""When a training from corrections begins by itself, and what is kept where it cannot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import jobs, registry, retraining
from app.commands.retraining import Plan
from app.domain.roles import SYSTEM, Actor, Role
from app.errors import Conflict, Unprocessable
from app.queries.jobs import jobs_at_work
from app.records import Job, SiteChoice, Snapshot, TrainingRun
from app.records.engine import transaction
from app.settings import settings
from tests.app.commands.candidates import a_stored_bundle, an_active_bundle, over
from tests.app.commands.labelled import a_dataset, patients
from tests.app.commands.test_intake_races import wait_for_a_lock
from tests.builders import a_signed_study, a_user
from worker.sweep import Sweeper

_LONGEST = 20.0


def occasion() -> str | None:
    with transaction() as session:
        return retraining.occasion(session)


def choose(*, every_days: int | None = None, after_reviews: int | None = None) -> None:
    with transaction() as session:
        retraining.choose(session, every_days=every_days, after_reviews=after_reviews, by=SYSTEM)


def pass_days(days: float) -> None:
    """What was chosen or tried was so long ago."""
    with transaction() as session:
        ago = SiteChoice.chosen_at - timedelta(days=days)
        session.execute(update(SiteChoice).values(chosen_at=ago))


def test_nothing_begins_by_itself_unless_the_site_chose_so(blobs: Blobs, database: str) -> None:
    a_signed_study(blobs)
    assert occasion() is None
    with transaction() as session:
        assert retraining.plan(session) == Plan()


def test_so_many_new_reviews_are_an_occasion(blobs: Blobs, database: str) -> None:
    choose(after_reviews=2)
    a_signed_study(blobs)
    assert occasion() is None
    a_signed_study(blobs)
    assert occasion() == "reviews"


def test_so_many_days_are_an_occasion_where_anything_was_signed(blobs: Blobs, database: str) -> None:
    choose(every_days=7)
    pass_days(8)
    assert occasion() is None, "there is nothing new to learn"
    a_signed_study(blobs)
    assert occasion() == "schedule"


def test_days_are_counted_from_the_last_try(blobs: Blobs, database: str) -> None:
    choose(every_days=7)
    a_signed_study(blobs)
    pass_days(8)
    with transaction() as session:
        retraining.came_to_nothing(session, problem=Conflict("Too little."), by=SYSTEM)
    a_signed_study(blobs)
    assert occasion() is None
    pass_days(8)
    assert occasion() == "schedule"


def test_reviews_that_were_learnt_from_are_not_new(blobs: Blobs, database: str) -> None:
    choose(after_reviews=1)
    a_signed_study(blobs)
    with transaction() as session:
        retraining.came_to_nothing(session, problem=Conflict("Too little."), by=SYSTEM)
    assert occasion() is None
    with transaction() as session:
        since = retraining.since_last(session, most=100)
    assert (since.reviews, since.said) == (0, "Too little.")
    a_signed_study(blobs)
    assert occasion() == "reviews"


def test_the_sweeper_tries_once_and_keeps_why_it_could_not(blobs: Blobs, database: str, broker: str) -> None:
    choose(after_reviews=1)
    a_signed_study(blobs)
    for _ in range(2):
        Sweeper(settings(), blobs=blobs).sweep()
    with transaction() as session:
        said = retraining.since_last(session, most=100).said
        assert said is not None and "to learn from" in said
        assert jobs_at_work(session) == ()
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 0, "nothing is left half done"


def test_no_second_training_begins_while_one_is_at_work(blobs: Blobs, database: str) -> None:
    choose(after_reviews=1)
    a_signed_study(blobs)
    with transaction() as session:
        snapshot = Snapshot(name="s", sha256="5" * 64, images=1, counts={}, findings=[], created_by_name="a")
        session.add(snapshot)
        session.flush()
        run = TrainingRun(
            snapshot_id=snapshot.id, mode="quick", seed=7, occasion="asked", asked_by_name="ann"
        )
        session.add(run)
        session.flush()
        session.add(Job(kind="train", subject_id=run.id, asked_by_name="ann"))
    assert occasion() is None
    with transaction() as session, pytest.raises(Conflict, match="at work already"):
        retraining.retrain(session, blobs=blobs, occasion="asked", by=SYSTEM)


def test_the_button_pressed_twice_at_once_begins_one_training(database: str, blobs: Blobs) -> None:
    with transaction() as session:
        an_active_bundle(session, blobs)
        a_dataset(session, [*patients(40), *patients(40, label="NORMAL", prefix="n")])
        ann, bob = a_user(session, "ann", Role.ADMINISTRATOR), a_user(session, "bob", Role.ADMINISTRATOR)

    def press(by: Actor) -> tuple[UUID, UUID]:
        with transaction() as session:
            return retraining.retrain(session, blobs=blobs, occasion="asked", by=by)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            first = retraining.retrain(session, blobs=blobs, occasion="asked", by=ann)
            second = pool.submit(press, ann)
            wait_for_a_lock(second)
        assert second.result(_LONGEST) == first
    with pytest.raises(Conflict, match="at work already"):
        press(bob)
    with transaction() as session:
        session.get_one(TrainingRun, first[0]).asked_at -= timedelta(minutes=2)
    with pytest.raises(Conflict, match="at work already"):
        press(ann)  # hours later it is another wish: what was signed meanwhile is not in that run
    with transaction() as session:
        session.get_one(TrainingRun, first[0]).asked_at += timedelta(minutes=2)
        jobs.cancel(session, job_id=first[1], by=ann)
    with pytest.raises(Conflict, match="at work already"):
        press(ann)


def test_a_press_waits_for_a_schedule_only_so_long(
    database: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "_PATIENCE", "100ms")
    with transaction() as session:
        ann = a_user(session, "ann", Role.ADMINISTRATOR)
    with transaction() as schedule:
        assert retraining._has_a_turn(schedule)
        with transaction() as session, pytest.raises(Conflict, match="at work already"):
            retraining.retrain(session, blobs=blobs, occasion="asked", by=ann)


def test_the_snapshot_is_named_by_the_clock_of_the_site(
    session: Session, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_active_bundle(session, blobs)
    a_dataset(session, [*patients(40), *patients(40, label="NORMAL", prefix="n")])
    monkeypatch.setattr(retraining, "now", lambda: datetime(2026, 11, 22, 20, 5, tzinfo=UTC))
    monkeypatch.setenv("FIRSTREAD_TIME_ZONE", "Asia/Tokyo")
    settings.cache_clear()
    try:
        run_id, _ = retraining.retrain(session, blobs=blobs, occasion="asked", by=SYSTEM)
    finally:
        settings.cache_clear()
    run = session.get_one(TrainingRun, run_id)
    assert session.get_one(Snapshot, run.snapshot_id).name == "2026-11-23 05:05"


def test_what_was_learnt_already_is_not_trained_again_until_something_is_new(
    session: Session, blobs: Blobs
) -> None:
    an_active_bundle(session, blobs)
    a_dataset(session, [*patients(40), *patients(40, label="NORMAL", prefix="n")])

    def retrain() -> TrainingRun:
        run_id, job_id = retraining.retrain(session, blobs=blobs, occasion="asked", by=SYSTEM)
        over(session, job_id)
        return session.get_one(TrainingRun, run_id)

    failed = retrain()
    done = retrain()
    assert done.snapshot_id == failed.snapshot_id, "no candidate came of the first; it may be tried again"
    done.candidate_sha256 = a_stored_bundle(session, blobs, "2")
    session.flush()
    with pytest.raises(Unprocessable, match="nothing new to learn from"):
        retrain()
    registry.promote(session, sha256=done.candidate_sha256, by=SYSTEM, reason="test")
    assert retrain().start_sha256 == done.candidate_sha256, "another network may learn it"


@pytest.mark.parametrize(("days", "reviews"), [(0, None), (None, 0), (367, None), (None, 1_000_001)])
def test_what_is_no_such_number_is_refused(database: str, days: int | None, reviews: int | None) -> None:
    with pytest.raises(Unprocessable, match="whole number"):
        choose(every_days=days, after_reviews=reviews)
