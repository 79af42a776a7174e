"""Evaluations: a candidate beside the active bundle on a locked test, whose every use is on record."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit, jobs
from app.commands.locked_test import alike, uses_of
from app.commands.registry import active_bundle
from app.domain.roles import SYSTEM, Actor
from app.domain.snapshot import TEST, SnapshotRow, may_judge, read_manifest
from app.errors import Conflict, NotFound
from app.records import Bundle, Evaluation, EvaluationOrder, Job, Snapshot
from app.records.job import AT_WORK
from app.settings import settings

KIND = "evaluate"


@dataclass(frozen=True, kw_only=True)
class LockedTest:
    """A locked test, how often it was used, and how often it may be."""

    sha256: str
    uses: int
    limit: int


def ask(session: Session, *, candidate_sha256: str, snapshot_id: UUID, by: Actor) -> UUID:
    """A training worker will judge the candidate by the snapshot's locked test, beside the active bundle.

    Returns the job's id; ring `queue.LEARN` with it after the commit. Raises NotFound and Conflict as
    `check_can_evaluate`.
    """
    test = check_can_evaluate(session, candidate_sha256=candidate_sha256, snapshot_id=snapshot_id)
    ordered = EvaluationOrder(
        snapshot_id=snapshot_id,
        test_sha256=test.sha256,
        candidate_sha256=candidate_sha256,
        asked_by_name=by.name,
    )
    session.add(ordered)
    session.flush()
    audit.record(
        session,
        action="evaluation.asked",
        by=by,
        subject_id=ordered.id,
        candidate=candidate_sha256,
        snapshot=str(snapshot_id),
    )
    return jobs.ask(session, kind=KIND, subject_id=ordered.id, by=by)


def check_can_evaluate(session: Session, *, candidate_sha256: str, snapshot_id: UUID) -> LockedTest:
    """The locked test by which the candidate may be judged; until the commit nobody else begins to use it.

    Raises NotFound for a bundle or snapshot that is not there; Conflict where nothing reads yet, the
    candidate reads already or is being evaluated, the snapshot has no locked test or it is used up.
    """
    if session.get(Bundle, candidate_sha256) is None:
        raise NotFound("There is no such bundle.")
    active = active_bundle(session)
    if active is None:
        raise Conflict("No network reads yet, so there is none to compare with. Start a worker first.")
    if active == candidate_sha256:
        raise Conflict("This is the bundle that reads now; there is nothing to compare it with.")
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('evaluations', 0))"))
    test = locked_test(session, snapshot_id=snapshot_id)
    if test is None:
        raise Conflict("The snapshot has no locked test; freeze one whose test split has images.")
    if _at_work(session, candidate_sha256=candidate_sha256):
        raise Conflict("The candidate is being evaluated already; wait for what comes of it.")
    if test.uses + _begun(session, test_sha256=test.sha256) >= test.limit:
        raise Conflict(
            f"The locked test was used {test.uses} times and may be used {test.limit} times: whoever asks it "
            "often enough finds a network that suits it by chance. Freeze a snapshot with new test patients."
        )
    return test


def can_evaluate(session: Session, *, candidate_sha256: str, snapshot_id: UUID) -> bool:
    """Whether `check_can_evaluate` lets it pass."""
    try:
        check_can_evaluate(session, candidate_sha256=candidate_sha256, snapshot_id=snapshot_id)
    except (Conflict, NotFound):
        return False
    return True


def locked_test(session: Session, *, snapshot_id: UUID) -> LockedTest | None:
    """The snapshot's; None where it has none. Raises NotFound without such a snapshot."""
    snapshot = session.get(Snapshot, snapshot_id)
    if snapshot is None:
        raise NotFound("There is no such snapshot.")
    if snapshot.test_sha256 is None:
        return None
    uses = uses_of(session, test_sha256=snapshot.test_sha256)
    return LockedTest(sha256=snapshot.test_sha256, uses=uses, limit=settings().locked_test_uses)


def order(
    session: Session,
    *,
    blobs: Blobs,
    subject_id: UUID,
    folder: Path,  # noqa: ARG001 - it is the child's to write in
) -> dict[str, Any]:
    """What the child is told: both bundles' files, the rows of the locked test and where their images are.

    The active bundle is the one that reads now, not when it was asked. Raises NotFound where bytes are
    missing, Conflict where the candidate reads by now.
    """
    ordered = _ordered(session, subject_id)
    snapshot = session.get_one(Snapshot, ordered.snapshot_id)
    active = active_bundle(session)
    if active is None or active == ordered.candidate_sha256:
        raise Conflict("The candidate reads by now; there is nothing to compare it with.")
    test = locked_test(session, snapshot_id=snapshot.id)
    rows = [row for row in _manifest(blobs, snapshot.sha256) if row.split == TEST]
    configured = settings()
    return {
        "candidate": str(blobs.path(ordered.candidate_sha256)),
        "active": str(blobs.path(active)),
        "active_sha256": active,
        "rows": [asdict(row) | {"file": str(blobs.path(row.path))} for row in rows],
        "may_judge": [may_judge(source=row.source, blind=row.blind == "1") for row in rows],
        "use": test.uses + 1 if test else 1,
        "limit": test.limit if test else 0,
        "decoder_seconds": configured.decoder_timeout,
        "decoder_memory": configured.decoder_memory,
    }


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
    """The outcome is on record for ever, as one use of the locked test; its pictures are blobs. The answer
    stays as it is: where the disk is full it is recorded again.
    """
    ordered = _ordered(session, subject_id)
    outcome = deepcopy(answer["outcome"])
    for mistake in outcome["detail"]["mistakes"]:
        picture = mistake.pop("file", None)
        mistake["picture_sha256"] = blobs.put(Path(picture).read_bytes()) if picture else None
    session.add(
        Evaluation(
            id=ordered.id,
            snapshot_id=ordered.snapshot_id,
            test_sha256=ordered.test_sha256,
            candidate_sha256=ordered.candidate_sha256,
            active_sha256=answer["active_sha256"],
            asked_by_name=ordered.asked_by_name,
            outcome=outcome,
            gate=answer["gate"],
            may_be_promoted=answer["may_be_promoted"],
        )
    )
    audit.record(
        session,
        action="locked-test.used",
        by=SYSTEM,
        subject_id=ordered.test_sha256,
        evaluation=str(ordered.id),
        candidate=ordered.candidate_sha256,
        asked_by=ordered.asked_by_name,
        may_be_promoted=answer["may_be_promoted"],
    )


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    """Nothing came of it; nobody was told anything of the locked test, so it is no use of it."""
    audit.record(session, action=f"evaluation.{state}", by=SYSTEM, subject_id=subject_id, reason=said)


def _ordered(session: Session, order_id: UUID) -> EvaluationOrder:
    ordered = session.get(EvaluationOrder, order_id)
    if ordered is None:
        raise NotFound("There is no such evaluation.")
    return ordered


def _manifest(blobs: Blobs, sha256: str) -> list[SnapshotRow]:
    with blobs.path(sha256).open(encoding="utf-8", newline="") as file:
        return list(read_manifest(file))


def _at_work(session: Session, *, candidate_sha256: str) -> bool:
    return _count_at_work(session, EvaluationOrder.candidate_sha256 == candidate_sha256) > 0


def _begun(session: Session, *, test_sha256: str) -> int:
    """Not over yet, and each will be a use of this test."""
    return _count_at_work(session, EvaluationOrder.test_sha256.in_(alike(session, test_sha256=test_sha256)))


def _count_at_work(session: Session, which: ColumnElement[bool]) -> int:
    of_jobs = (
        select(func.count())
        .select_from(Job)
        .join(EvaluationOrder, EvaluationOrder.id == Job.subject_id)
        .where(Job.kind == KIND, Job.state.in_(AT_WORK), which)
    )
    return session.scalar(of_jobs) or 0
