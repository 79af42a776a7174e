"""Training runs: asked for, given to the child, and what came of them. Nothing is promoted here."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, evaluation, jobs, registry
from app.domain.roles import SYSTEM, Actor
from app.domain.sentence import sentence
from app.domain.snapshot import COLUMNS, NORMAL, TRAIN, VAL, SnapshotRow, read_manifest
from app.errors import Conflict, NotFound, Unprocessable
from app.records import Bundle, LockedPatient, Snapshot, TrainingRun
from app.settings import settings

KIND = "train"
MODES = ("quick", "thorough")
IMAGENET = "imagenet"
"""Given as the start: from no bundle of the site's, but from ImageNet's weights."""
LEAST_MINUTES, MOST_MINUTES = 1.0, 7 * 24 * 60.0
LEAST_IMAGES = 15
"""Of each class among those to learn from; the training itself asks for as many patients."""
SEED = 7
"""The same images, start and seed give the same network (a thorough one but for the rounding of sums), and
features kept from one run serve the next."""


def ask(
    session: Session,
    *,
    snapshot_id: UUID,
    mode: str,
    start_sha256: str | None = None,
    budget_minutes: float | None = None,
    occasion: str = "asked",
    by: Actor,
) -> tuple[UUID, UUID]:
    """A training worker will train on the snapshot; gives the run and its job. Ring `queue.LEARN` with the
    job after the commit.

    It goes on from the bundle, from the one that reads now where none is named, or from `IMAGENET`. The same
    order while it waits or runs is the first one. Raises NotFound, Unprocessable and Conflict with what to do
    instead.
    """
    snapshot = session.get(Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    _check_labels(snapshot)
    budget = _checked_budget(mode, budget_minutes)
    start = _start(session, start_sha256)
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('training', 0))"))
    same = jobs.at_work(
        session,
        TrainingRun,
        TrainingRun.snapshot_id == snapshot_id,
        TrainingRun.mode == mode,
        TrainingRun.start_sha256.is_not_distinct_from(start),
        TrainingRun.budget_minutes.is_not_distinct_from(budget),
    )
    if same is not None:
        return same
    run = TrainingRun(
        snapshot_id=snapshot_id,
        mode=mode,
        start_sha256=start,
        budget_minutes=budget,
        seed=SEED,
        occasion=occasion,
        asked_by_name=by.name,
    )
    session.add(run)
    session.flush()
    audit.record(
        session,
        action="training.asked",
        by=by,
        subject_id=run.id,
        snapshot=str(snapshot_id),
        mode=mode,
        start=start,
        budget_minutes=budget,
        occasion=occasion,
    )
    return run.id, jobs.ask(session, kind=KIND, subject_id=run.id, by=by)


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:
    """What the child is told; a manifest of the rows to learn from, and of no others, lies in its folder.

    Raises NotFound where bytes are missing.
    """
    run = session.get_one(TrainingRun, subject_id)
    snapshot = session.get_one(Snapshot, run.snapshot_id)
    start = None if run.start_sha256 is None else session.get_one(Bundle, run.start_sha256)
    active = registry.active_bundle(session)
    like = start if active is None else session.get_one(Bundle, active)  # the gate passes no other use
    manifest = folder / "manifest.csv"
    locked = set(session.scalars(select(LockedPatient.patient_key)))
    _write_manifest(blobs, snapshot.sha256, manifest, locked=locked)
    name = start.name if start is not None else "-".join("-".join(snapshot.findings).split())
    configured = settings()
    return {
        "manifest": str(manifest),
        "out": str(folder / "candidate.bundle"),
        "mode": run.mode,
        "seed": run.seed,
        "budget_minutes": run.budget_minutes,
        "start": None if start is None else str(blobs.path(start.sha256)),
        "features": str(configured.home / "features"),
        "name": name,
        "version": _next_version(session, name),
        "intended_use": None if like is None else like.manifest.get("intended_use"),
        "data_statement": _data_statement(snapshot),
        "decoder_seconds": configured.decoder_timeout,
        "decoder_memory": configured.decoder_memory,
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
    """The candidate is a registered bundle, and its evaluation is asked for where the snapshot has a locked
    test; where it cannot be, the run's figures say why.
    """
    run = session.get_one(TrainingRun, subject_id)
    sha256 = blobs.put(Path(answer["bundle"]).read_bytes())
    registry.register(session, sha256=sha256, manifest=answer["manifest"], by=SYSTEM)
    run.candidate_sha256 = sha256
    figures: dict[str, Any] = dict(answer["figures"])
    audit.record(session, action="training.done", by=SYSTEM, subject_id=run.id, candidate=sha256)
    session.flush()
    try:
        evaluation.ask(
            session,
            candidate_sha256=sha256,
            snapshot_id=run.snapshot_id,
            by=Actor(kind=SYSTEM.kind, id=None, name=run.asked_by_name),
        )
    except (Conflict, NotFound) as problem:
        figures["not_evaluated"] = problem.detail
    run.figures = figures


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """Nothing came of it; what read before reads on."""
    audit.record(session, action=f"training.{state}", by=SYSTEM, subject_id=subject_id, reason=said)


def check_can_start(session: Session, *, sha256: str) -> None:
    """Raises NotFound for a bundle that is not registered."""
    if not registry.is_known(session, sha256=sha256):
        raise NotFound("There is no such bundle to start from.")


def _check_labels(snapshot: Snapshot) -> None:
    """Refuses before anything is begun what the counts show already."""
    splits = snapshot.counts.get("splits")
    if not isinstance(splits, dict):
        return
    labels: dict[str, int] = {}
    for split in (TRAIN, VAL):
        for label, images in splits.get(split, {}).items():
            labels[label] = labels.get(label, 0) + images
    learnt = sum(labels.values())
    if not learnt:
        raise Unprocessable(
            "The snapshot holds nothing to learn from: all its patients are in the locked test."
        )
    if len(labels) == 1:
        only = next(iter(labels))
        raise Unprocessable(
            f"All {learnt} images to learn from are of one class ({only}); a network needs two to tell apart."
        )
    if NORMAL not in labels:
        raise Unprocessable("None of the classes to learn from is the normal one; a finding is told from it.")
    fewest = min(labels, key=lambda label: labels[label])
    if labels[fewest] < LEAST_IMAGES:
        raise Unprocessable(
            f"There are {labels[fewest]} images of {fewest} to learn from; at least about {LEAST_IMAGES} "
            "patients of each class are needed."
        )


def _checked_budget(mode: str, minutes: float | None) -> float | None:
    if mode not in MODES:
        raise Unprocessable("A training is quick or thorough.")
    if mode == "quick":
        return None  # it takes what it takes: about a minute
    if minutes is None:
        raise Unprocessable("Thorough training needs a time budget: say how many minutes it may take.")
    if not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        raise Unprocessable(f"The time budget is from {LEAST_MINUTES:g} to {MOST_MINUTES:g} minutes.")
    return float(minutes)


def _start(session: Session, sha256: str | None) -> str | None:
    if sha256 == IMAGENET:
        return None
    if sha256 is None:
        return registry.active_bundle(session)
    check_can_start(session, sha256=sha256)
    return sha256


def _write_manifest(blobs: Blobs, sha256: str, target: Path, *, locked: Collection[str]) -> None:
    """Patients who judge by now are left out, whatever the snapshot had them for."""
    with (
        blobs.path(sha256).open(encoding="utf-8", newline="") as file,
        target.open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for row in read_manifest(file):
            if row.split in (TRAIN, VAL) and row.patient_key not in locked:
                writer.writerow(_as_file(row, blobs))


def _as_file(row: SnapshotRow, blobs: Blobs) -> list[str]:
    values = vars(row) | {"path": str(blobs.path(row.path))}
    return [values[column] for column in COLUMNS]


def _next_version(session: Session, name: str) -> str:
    known = session.scalars(select(Bundle.version).where(Bundle.name == name))
    whole = (version.partition(".")[0] for version in known)  # 5 comes after 4.1
    return str(max((int(number) for number in whole if number.isdecimal()), default=0) + 1)


def _data_statement(snapshot: Snapshot) -> str:
    return sentence(f"The snapshot {snapshot.name} of this site ({snapshot.sha256}).")
