"""A bundle with all that speaks for and against it: evaluations, proposals, promotions, whence it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import evaluation as commands
from app.commands import promotion
from app.commands.deciding_evaluation import deciding_evaluation
from app.commands.registry import active_bundle, former
from app.domain.roles import Actor, Permission
from app.errors import NotFound
from app.queries.bundles import BundleShown, bundle
from app.queries.jobs import JobShown, job_of
from app.records import (
    Evaluation,
    EvaluationOrder,
    Promotion,
    Proposal,
    Snapshot,
    TrainingRun,
)

_TESTS = 20
_DECISIONS = ("promote", "decline", "withdraw")


@dataclass(frozen=True, kw_only=True)
class EvaluationShown:
    """One use of a locked test; `stands` where it is beside the bundle that reads now."""

    id: UUID
    snapshot_id: UUID
    snapshot: str
    candidate_sha256: str
    active_sha256: str
    evaluated_at: datetime
    asked_by: str
    may_be_promoted: bool
    stands: bool
    gate: list[dict[str, Any]]
    outcome: dict[str, Any]
    """Its `detail` holds `mistakes` only for whoever trains networks and signs no readings: a study of the
    test may still be read blind."""


@dataclass(frozen=True, kw_only=True)
class ProposalShown:
    """Who wanted it promoted, and what was decided."""

    id: UUID
    reason: str
    proposed_at: datetime
    proposed_by: str
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    may: frozenset[str]
    """What whoever looks may decide now: promote, decline, withdraw."""


@dataclass(frozen=True, kw_only=True)
class PromotionShown:
    """From when on a bundle read."""

    sha256: str
    name: str
    kind: str
    promoted_at: datetime
    promoted_by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrainedBy:
    """The run whose outcome the bundle is."""

    run_id: UUID
    mode: str
    occasion: str
    asked_at: datetime
    asked_by: str
    snapshot_id: UUID
    snapshot: str


@dataclass(frozen=True, kw_only=True)
class TestOffered:
    """A locked test that the bundle can be judged by."""

    snapshot_id: UUID
    name: str
    created_at: datetime
    uses: int
    limit: int


@dataclass(frozen=True, kw_only=True)
class CandidateShown:
    """A bundle's own page."""

    bundle: BundleShown
    active: BundleShown | None
    why_not: str | None
    """The sentence why it may not be promoted now; None where it may."""
    judged: EvaluationShown | None
    """The evaluation that decides, else the newest there is."""
    evaluations: tuple[EvaluationShown, ...]
    proposal: ProposalShown | None
    """The one that waits for a decision."""
    proposals: tuple[ProposalShown, ...]
    promotions: tuple[PromotionShown, ...]
    trained: TrainedBy | None
    job: JobShown | None
    tests: tuple[TestOffered, ...]
    people: int
    """How many a promotion takes."""
    read_before: bool
    """It was active before the one that reads now and can be gone back to."""


def candidate(session: Session, *, sha256: str, to: Actor) -> CandidateShown:
    """Raises NotFound."""
    shown = bundle(session, sha256=sha256)
    active = active_bundle(session)
    evaluations = _evaluations(session, sha256=sha256, active=active, to=to)
    deciding = deciding_evaluation(session, sha256=sha256)
    proposals = _proposals(session, sha256=sha256, to=to)
    ordered = session.scalar(
        select(EvaluationOrder.id)
        .where(EvaluationOrder.candidate_sha256 == sha256)
        .order_by(EvaluationOrder.asked_at.desc())
        .limit(1)
    )
    return CandidateShown(
        bundle=shown,
        active=bundle(session, sha256=active) if active else None,
        why_not=promotion.can_promote(session, sha256=sha256),
        judged=next((one for one in evaluations if deciding is None or one.id == deciding.id), None),
        evaluations=evaluations,
        proposal=next((one for one in proposals if one.decision is None), None),
        proposals=proposals,
        promotions=tuple(one for one in promotions(session) if one.sha256 == sha256),
        trained=_trained(session, sha256=sha256),
        job=job_of(session, subject_id=ordered, kind=commands.KIND) if ordered else None,
        tests=() if shown.active or active is None else _tests(session),
        people=promotion.people_needed(session),
        read_before=sha256 in former(session),
    )


def evaluation(session: Session, *, evaluation_id: UUID, to: Actor) -> EvaluationShown:
    """Raises NotFound."""
    row = session.get(Evaluation, evaluation_id)
    if row is None:
        raise NotFound("There is no such evaluation.")
    name = session.scalar(select(Snapshot.name).where(Snapshot.id == row.snapshot_id))
    return _evaluation(row, str(name), active=active_bundle(session), to=to)


def promotions(session: Session) -> tuple[PromotionShown, ...]:
    """Which bundle read since when, the newest first."""
    rows = session.scalars(select(Promotion).order_by(Promotion.sequence.desc())).all()
    names = {sha256: bundle(session, sha256=sha256) for sha256 in {row.bundle_sha256 for row in rows}}
    return tuple(
        PromotionShown(
            sha256=row.bundle_sha256,
            name=f"{names[row.bundle_sha256].name} {names[row.bundle_sha256].version}",
            kind=row.kind,
            promoted_at=row.promoted_at,
            promoted_by=row.promoted_by_name,
            reason=row.reason,
        )
        for row in rows
    )


def way_back(session: Session) -> BundleShown | None:
    """The bundle that read before the one that reads now; None where there was none."""
    back = former(session)
    return bundle(session, sha256=back[0]) if back else None


def _evaluations(
    session: Session, *, sha256: str, active: str | None, to: Actor
) -> tuple[EvaluationShown, ...]:
    rows = session.execute(
        select(Evaluation, Snapshot.name)
        .join(Snapshot, Snapshot.id == Evaluation.snapshot_id)
        .where(Evaluation.candidate_sha256 == sha256)
        .order_by(Evaluation.evaluated_at.desc(), Evaluation.id.desc())
    )
    return tuple(_evaluation(row, name, active=active, to=to) for row, name in rows)


def _evaluation(row: Evaluation, snapshot: str, *, active: str | None, to: Actor) -> EvaluationShown:
    return EvaluationShown(
        id=row.id,
        snapshot_id=row.snapshot_id,
        snapshot=snapshot,
        candidate_sha256=row.candidate_sha256,
        active_sha256=row.active_sha256,
        evaluated_at=row.evaluated_at,
        asked_by=row.asked_by_name,
        may_be_promoted=row.may_be_promoted,
        stands=row.active_sha256 == active,
        gate=row.gate,
        outcome=row.outcome if _may_see_mistakes(to) else _without_mistakes(row.outcome),
    )


def _may_see_mistakes(who: Actor) -> bool:
    return who.may(Permission.TRAIN) and not who.may(Permission.REVIEW)


def _without_mistakes(outcome: dict[str, Any]) -> dict[str, Any]:
    detail = {name: told for name, told in outcome["detail"].items() if name != "mistakes"}
    return outcome | {"detail": detail}


def _proposals(session: Session, *, sha256: str, to: Actor) -> tuple[ProposalShown, ...]:
    rows = session.scalars(
        select(Proposal).where(Proposal.bundle_sha256 == sha256).order_by(Proposal.proposed_at.desc())
    )
    return tuple(
        ProposalShown(
            id=row.id,
            reason=row.reason,
            proposed_at=row.proposed_at,
            proposed_by=row.proposed_by_name,
            decision=row.decision,
            decided_at=row.decided_at,
            decided_by=row.decided_by_name,
            decision_reason=row.decision_reason,
            may=frozenset(
                decision
                for decision in _DECISIONS
                if promotion.can_decide(session, proposal=row, decision=decision, by=to)
            ),
        )
        for row in rows
    )


def _trained(session: Session, *, sha256: str) -> TrainedBy | None:
    row = session.execute(
        select(TrainingRun, Snapshot.name)
        .join(Snapshot, Snapshot.id == TrainingRun.snapshot_id)
        .where(TrainingRun.candidate_sha256 == sha256)
        .order_by(TrainingRun.asked_at)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    run, name = row
    return TrainedBy(
        run_id=run.id,
        mode=run.mode,
        occasion=run.occasion,
        asked_at=run.asked_at,
        asked_by=run.asked_by_name,
        snapshot_id=run.snapshot_id,
        snapshot=name,
    )


def _tests(session: Session) -> tuple[TestOffered, ...]:
    rows = session.scalars(
        select(Snapshot)
        .where(Snapshot.test_sha256.is_not(None))
        .order_by(Snapshot.created_at.desc())
        .limit(_TESTS)
    ).all()
    offered = []
    for row in rows:
        test = commands.locked_test(session, snapshot_id=row.id)
        if test is not None:
            offered.append(
                TestOffered(
                    snapshot_id=row.id,
                    name=row.name,
                    created_at=row.created_at,
                    uses=test.uses,
                    limit=test.limit,
                )
            )
    return tuple(offered)
