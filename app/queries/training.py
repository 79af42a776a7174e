"""Training runs as people and programs are shown them, and what there is to train on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session, aliased

from app.commands.registry import active_bundle
from app.commands.training import KIND
from app.errors import NotFound
from app.queries.jobs import JobShown, job_of
from app.records import Bundle, Dataset, DatasetFile, EvaluationOrder, Job, Snapshot, TrainingRun

_start, _candidate = aliased(Bundle), aliased(Bundle)


@dataclass(frozen=True, kw_only=True)
class RunShown:
    """A training run; `state` and `said` are those of its job."""

    id: UUID
    snapshot_id: UUID
    snapshot: str
    mode: str
    start_sha256: str | None
    start: str | None
    """Name and version; None for ImageNet's weights."""
    budget_minutes: float | None
    occasion: str
    asked_at: datetime
    asked_by_name: str
    state: str
    said: str | None
    job_id: UUID
    ended_at: datetime | None
    candidate_sha256: str | None
    candidate: str | None
    candidate_reads: bool
    """The candidate is the bundle that reads now."""
    figures: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DatasetLine:
    """A dataset on the overview."""

    id: UUID
    name: str
    state: str
    images: int
    created_at: datetime
    created_by_name: str


@dataclass(frozen=True, kw_only=True)
class SnapshotLine:
    """A snapshot on the overview; `learnt` and `judged`: images by label to learn from and to judge by."""

    id: UUID
    name: str
    images: int
    learnt: dict[str, int]
    judged: dict[str, int]
    created_at: datetime
    created_by_name: str


def run(session: Session, *, run_id: UUID) -> RunShown:
    """Raises NotFound."""
    row = session.execute(_runs().where(TrainingRun.id == run_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such training run.")
    return _shown(row, active_bundle(session))


def runs(session: Session, *, size: int, before: UUID | None = None) -> tuple[RunShown, ...]:
    """The newest first; those older than `before` where it is given."""
    asked = _runs().order_by(TrainingRun.asked_at.desc(), TrainingRun.id).limit(size)
    if before is not None:
        since = select(TrainingRun.asked_at).where(TrainingRun.id == before).scalar_subquery()
        asked = asked.where(TrainingRun.asked_at < since)
    active = active_bundle(session)
    return tuple(_shown(row, active) for row in session.execute(asked))


def evaluation_of(session: Session, *, run: RunShown) -> JobShown | None:
    """The job that judges the run's candidate by the locked test of its snapshot; the newest, if any."""
    if run.candidate_sha256 is None:
        return None
    order_id = session.scalar(
        select(EvaluationOrder.id)
        .where(
            EvaluationOrder.candidate_sha256 == run.candidate_sha256,
            EvaluationOrder.snapshot_id == run.snapshot_id,
        )
        .order_by(EvaluationOrder.asked_at.desc())
        .limit(1)
    )
    return None if order_id is None else job_of(session, subject_id=order_id)


def datasets(session: Session, *, size: int) -> tuple[DatasetLine, ...]:
    """The newest first, with how many files each has."""
    files = (
        select(func.count())
        .select_from(DatasetFile)
        .where(DatasetFile.dataset_id == Dataset.id)
        .scalar_subquery()
    )
    rows = session.execute(select(Dataset, files).order_by(Dataset.created_at.desc()).limit(size))
    return tuple(
        DatasetLine(
            id=row.id,
            name=row.name,
            state=row.state,
            images=images,
            created_at=row.created_at,
            created_by_name=row.created_by_name,
        )
        for row, images in rows
    )


def snapshots(session: Session, *, size: int) -> tuple[SnapshotLine, ...]:
    """The newest first."""
    rows = session.scalars(select(Snapshot).order_by(Snapshot.created_at.desc()).limit(size))
    return tuple(
        SnapshotLine(
            id=row.id,
            name=row.name,
            images=row.images,
            learnt=_labels(row.counts, "train", "val"),
            judged=_labels(row.counts, "test"),
            created_at=row.created_at,
            created_by_name=row.created_by_name,
        )
        for row in rows
    )


def _labels(counts: dict[str, Any], *splits: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for split in splits:
        for label, images in counts.get("splits", {}).get(split, {}).items():
            found[label] = found.get(label, 0) + images
    return dict(sorted(found.items()))


def _runs() -> Any:
    return (
        select(TrainingRun, Snapshot.name, Job, _start, _candidate)
        .join(Snapshot, Snapshot.id == TrainingRun.snapshot_id)
        .join(Job, (Job.subject_id == TrainingRun.id) & (Job.kind == KIND))
        .outerjoin(_start, _start.sha256 == TrainingRun.start_sha256)
        .outerjoin(_candidate, _candidate.sha256 == TrainingRun.candidate_sha256)
    )


def _shown(row: Row[Any], active: str | None) -> RunShown:
    run, snapshot, job, start, candidate = tuple(row)
    return RunShown(
        id=run.id,
        snapshot_id=run.snapshot_id,
        snapshot=snapshot,
        mode=run.mode,
        start_sha256=run.start_sha256,
        start=None if start is None else f"{start.name} {start.version}",
        budget_minutes=run.budget_minutes,
        occasion=run.occasion,
        asked_at=run.asked_at,
        asked_by_name=run.asked_by_name,
        state=job.state,
        said=job.said,
        job_id=job.id,
        ended_at=job.ended_at,
        candidate_sha256=run.candidate_sha256,
        candidate=None if candidate is None else f"{candidate.name} {candidate.version}",
        candidate_reads=run.candidate_sha256 is not None and run.candidate_sha256 == active,
        figures=run.figures,
    )
