"""Retraining from corrections: by a button, the calendar, or after so many reviews. Nothing is promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, jobs, registry, site_choices, snapshots, training
from app.domain.roles import Actor
from app.errors import Conflict, Problem, Unprocessable
from app.local_time import local
from app.records import Dataset, Job, Review, SiteChoice, TrainingRun
from app.records.base import now
from app.records.job import AT_WORK
from app.records.review import stands

PLAN = "retraining"
"""The choice's name; its value is `{every_days, after_reviews}`, each a number or null."""
LAST = "retraining.last"
"""What the last try led to: `{reviews_up_to, said, run}`; `said` is the sentence why nothing was begun."""
MOST_DAYS, MOST_REVIEWS = 366, 1_000_000
_ONE_PRESS = timedelta(minutes=1)
"""Who presses again later means what was signed since, too, and is told that a training is at work."""
_LOCK_NOT_AVAILABLE = "55P03"
_PATIENCE = "10s"
"""How long a press waits for the one before it; a schedule's own may take minutes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When a training begins by itself; None for not at all."""

    every_days: int | None = None
    after_reviews: int | None = None


@dataclass(frozen=True, kw_only=True)
class Since:
    """What has happened since the last training from corrections: new reviews that stand and are final, as
    far as they were counted; when it was tried; why nothing was begun then, or None.
    """

    reviews: int
    at: datetime | None
    said: str | None


def plan(session: Session) -> Plan:
    """What the site has chosen."""
    chosen = session.get(SiteChoice, PLAN)
    return Plan() if chosen is None else Plan(**chosen.value)


def choose(session: Session, *, every_days: int | None, after_reviews: int | None, by: Actor) -> None:
    """From now on a training begins by itself so often. Raises Unprocessable for what is no such number."""
    for number, most in ((every_days, MOST_DAYS), (after_reviews, MOST_REVIEWS)):
        if number is not None and not 1 <= number <= most:
            raise Unprocessable(f"Give a whole number from 1 to {most}, or nothing for never.")
    chosen: dict[str, Any] = {"every_days": every_days, "after_reviews": after_reviews}
    changed, _ = site_choices.choose(session, name=PLAN, value=chosen, by=by)
    if changed:
        audit.record(session, action="site.retraining-planned", by=by, **chosen)


def since_last(session: Session, *, most: int) -> Since:
    """What is new for a network to learn; reviews are counted up to `most`."""
    last = session.get(SiteChoice, LAST)
    told: dict[str, Any] = {} if last is None else last.value
    newer = (
        select(Review.id)
        .where(Review.sequence > told.get("reviews_up_to", 0), stands(), _is_final())
        .limit(most)
        .subquery()
    )
    return Since(
        reviews=session.scalar(select(func.count()).select_from(newer)) or 0,
        at=None if last is None else last.chosen_at,
        said=told.get("said"),
    )


def occasion(session: Session) -> str | None:
    """Why a training is due by itself now: schedule or reviews; None where none is."""
    chosen = plan(session)
    if chosen == Plan() or _runs(session):
        return None
    since = since_last(session, most=chosen.after_reviews or 1)
    if since.reviews == 0:
        return None
    if chosen.after_reviews is not None and since.reviews >= chosen.after_reviews:
        return "reviews"
    planned = session.get(SiteChoice, PLAN)
    began = since.at or (planned.chosen_at if planned is not None else None)
    if (
        chosen.every_days is not None
        and began is not None
        and now() - began >= timedelta(days=chosen.every_days)
    ):
        return "schedule"
    return None


def retrain(session: Session, *, blobs: Blobs, occasion: str, by: Actor) -> tuple[UUID, UUID]:
    """A snapshot of every dataset that is ready and of every review that may teach is taken, and a quick
    training from the network that reads now is asked for. Gives the run and its job, to ring for after the
    commit. What the same person asked for within the minute and is at work is given again.

    Raises Conflict where one is at work already, Unprocessable where the same training was done already (its
    candidate would cost a use of the locked test), and as `snapshots.take` and `training.ask` do.
    """
    ours = _wait_for_a_turn(session) if occasion == "asked" else _has_a_turn(session)
    if ours and occasion == "asked" and (begun := _begun(session, by=by)) is not None:
        return begun
    if not ours or _runs(session):
        raise Conflict("A training is at work already; wait for it, or cancel it.")
    up_to = session.scalar(select(func.max(Review.sequence)).where(_is_final())) or 0
    ready = session.scalars(select(Dataset.id).where(Dataset.state == "ready").order_by(Dataset.created_at))
    taken = snapshots.take(
        session,
        blobs=blobs,
        name=f"{local(now()):%Y-%m-%d %H:%M}",
        datasets=list(ready),
        reviews=True,
        by=by,
    )
    if not taken.created and _was_learnt(session, taken.id):
        raise Unprocessable(
            "There is nothing new to learn from: a candidate was trained on the same images and labels "
            "from the network that reads now. Sign studies or bring a dataset first."
        )
    run_id, job_id = training.ask(session, snapshot_id=taken.id, mode="quick", occasion=occasion, by=by)
    _set(session, LAST, {"reviews_up_to": up_to, "said": None, "run": str(run_id)}, by=by)
    return run_id, job_id


def _has_a_turn(session: Session) -> bool:
    turn = text("SELECT pg_try_advisory_xact_lock(hashtextextended('retraining', 0))")
    return bool(session.scalar(turn))


def _wait_for_a_turn(session: Session) -> bool:
    """False where another one has it for longer than a press waits."""
    try:
        with session.begin_nested():
            session.execute(
                text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": _PATIENCE}
            )
            session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('retraining', 0))"))
            session.execute(text("SELECT set_config('lock_timeout', '0', true)"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def came_to_nothing(session: Session, *, problem: Problem, by: Actor) -> None:
    """What began by itself could not: the sentence is kept for the page, and it is not tried again before the
    next occasion.
    """
    up_to = session.scalar(select(func.max(Review.sequence)).where(_is_final())) or 0
    _set(session, LAST, {"reviews_up_to": up_to, "said": problem.detail}, by=by)
    audit.record(session, action="retraining.came-to-nothing", by=by, said=problem.detail)


def _runs(session: Session) -> bool:
    of_run = select(Job.id).join(TrainingRun, TrainingRun.id == Job.subject_id)
    return session.scalar(of_run.where(Job.state.in_(AT_WORK)).limit(1)) is not None


def _begun(session: Session, *, by: Actor) -> tuple[UUID, UUID] | None:
    """The run and the job that this person began by a press just now, while they are at work."""
    last = session.get(SiteChoice, LAST)
    if last is None or last.chosen_by_name != by.name or last.value.get("run") is None:
        return None
    just_now = TrainingRun.asked_at > now() - _ONE_PRESS
    return jobs.at_work(session, TrainingRun, TrainingRun.id == UUID(last.value["run"]), just_now)


def _was_learnt(session: Session, snapshot_id: UUID) -> bool:
    """A quick training on the snapshot, from the network that reads now, made a candidate."""
    done = select(TrainingRun.id).where(
        TrainingRun.snapshot_id == snapshot_id,
        TrainingRun.mode == "quick",
        TrainingRun.start_sha256.is_not_distinct_from(registry.active_bundle(session)),
        TrainingRun.candidate_sha256.is_not(None),
    )
    return session.scalar(done.limit(1)) is not None


def _is_final() -> Any:
    return func.coalesce(Review.final_at, Review.signed_at) <= func.now()


def _set(session: Session, name: str, value: dict[str, Any], *, by: Actor) -> None:
    chosen = session.get(SiteChoice, name, with_for_update=True)
    if chosen is None:
        session.add(SiteChoice(name=name, value=value, chosen_by_name=by.name))
    else:
        chosen.value, chosen.chosen_at, chosen.chosen_by_name = value, now(), by.name
