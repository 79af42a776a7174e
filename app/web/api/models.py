"""Bundles judged, proposed, promoted, gone back to, and tried on a file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app import looks, queue
from app.commands import evaluation as commands
from app.commands import promotion, viewing
from app.domain.roles import Caller, Permission
from app.errors import NotFound
from app.queries import candidate as queries
from app.queries.candidate import CandidateShown, EvaluationShown
from app.records.engine import transaction
from app.told import told
from app.web.api.layers import RADIOGRAPH
from app.web.api.network import Model
from app.web.api.shown import Answer
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.layers import try_on_file
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.upload import receiving_radiograph

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["network"])
_Reader = Annotated[Caller, require(Permission.READ_MODELS)]
_Trainer = Annotated[Caller, require(Permission.TRAIN)]
_Promoter = Annotated[Caller, require(Permission.PROMOTE)]


class EvaluationListed(Answer):
    """One use of a locked test."""

    id: UUID
    snapshot_id: UUID
    candidate_sha256: str
    active_sha256: str
    evaluated_at: datetime
    asked_by: str
    may_be_promoted: bool
    stands: bool = Field(description="True where it is beside the bundle that reads now.")


class EvaluationDocument(EvaluationListed):
    """All of it: the gate line by line, and the figures."""

    gate: list[dict[str, Any]] = Field(
        description="name, passes (null: insufficient), sentence, short_by, blocks (false: keeps nobody out)"
    )
    outcome: dict[str, Any]


class ProposalListed(Answer):
    """Who wanted it promoted, and what was decided."""

    id: UUID
    reason: str
    proposed_at: datetime
    proposed_by: str
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None


class PromotionListed(Answer):
    """When it began to read."""

    kind: str = Field(description="promotion, rollback or first")
    promoted_at: datetime
    promoted_by: str
    reason: str


class ModelShown(Model):
    """A bundle with all that speaks for and against it."""

    why_not: str | None = Field(description="Why it may not be promoted now; null where it may.")
    training_run: UUID | None
    evaluations: list[EvaluationListed]
    proposals: list[ProposalListed]
    promotions: list[PromotionListed]


class EvaluationAsked(Input):
    """By which snapshot's locked test."""

    snapshot_id: UUID


class JobAsked(BaseModel):
    """A job that a training worker will do."""

    job_id: UUID
    url: str


class Reason(Input):
    """Why, in a sentence; it stays on record."""

    reason: str = Field(min_length=1, max_length=promotion.LONGEST_REASON)


class Decision(Input):
    """What becomes of a proposal."""

    decision: str = Field(description="promote, decline or withdraw")
    reason: str = Field(default="", max_length=promotion.LONGEST_REASON)


class Proposed(BaseModel):
    """A proposal; promoted at once where the site has one person decide."""

    id: UUID
    promoted: bool


class TryAsked(BaseModel):
    """A worker will ask both bundles."""

    id: UUID
    url: str


class Try(BaseModel):
    """What the candidate says of a file, beside the bundle that reads now."""

    id: UUID
    state: str = Field(description="waiting, done or failed; gone after a quarter of an hour")
    reason: str | None
    picture: str | None = Field(default=None, description="JPEG in base64")
    active: dict[str, Any] | None = None
    candidate: dict[str, Any] | None = None


@router.get("/models/{sha256}", summary="One bundle", responses=problems_of(401, 403, 404))
def get_model(sha256: str, caller: _Reader) -> ModelShown:
    """Its manifest, evaluations, proposals and promotions, and whether it may be promoted."""
    with transaction() as session:
        return _shown(queries.candidate(session, sha256=sha256, to=caller.actor))


@router.post(
    "/models/{sha256}/evaluations",
    status_code=202,
    summary="Evaluate a candidate on a locked test",
    responses=problems_of(401, 403, 404, 409),
)
def post_evaluation(sha256: str, asked: EvaluationAsked, caller: _Trainer) -> JobAsked:
    """Every use of a locked test is on record, and it serves so often only."""
    with transaction() as session:
        job_id = commands.ask(
            session, candidate_sha256=sha256, snapshot_id=asked.snapshot_id, by=caller.actor
        )
    queue.ring(queue.LEARN, str(job_id))
    return JobAsked(job_id=job_id, url=f"/api/v1/jobs/{job_id}")


@router.get("/evaluations/{evaluation_id}", summary="One evaluation", responses=problems_of(401, 403, 404))
def get_evaluation(evaluation_id: UUID, caller: _Reader) -> EvaluationDocument:
    """Its id is the subject of its job. Whoever may sign readings is not told of the mistakes: a study of the
    test may still be read blind. A mistake that comes with its map is on record as a view of its study.
    """
    with transaction() as session:
        found = queries.evaluation(session, evaluation_id=evaluation_id, to=caller.actor)
        viewing.look_at_maps(session, outcome=found.outcome, by=caller.actor)
    gate = [line | {"sentence": told(line["sentence"])} for line in found.gate]
    return EvaluationDocument(**_listed(found).model_dump(), gate=gate, outcome=found.outcome)


@router.post(
    "/models/{sha256}/proposals",
    status_code=201,
    summary="Propose a candidate for promotion",
    responses=problems_of(401, 403, 404, 409, 422),
)
def post_proposal(request: Request, sha256: str, why: Reason, caller: _Promoter) -> Proposed:
    """People only. It must pass the gate beside the bundle that reads now."""
    with transaction() as session:
        made = promotion.propose(
            session, parts_of(request).blobs, sha256=sha256, reason=why.reason, by=caller.actor
        )
    return Proposed(id=made.proposal_id, promoted=made.promoted)


@router.post(
    "/proposals/{proposal_id}/decision",
    status_code=204,
    summary="Decide on a proposal",
    responses=problems_of(401, 403, 404, 409, 422),
)
def post_decision(request: Request, proposal_id: UUID, decision: Decision, caller: _Promoter) -> None:
    """People only; where the site needs two, another than who proposed it promotes."""
    with transaction() as session:
        promotion.decide(
            session,
            parts_of(request).blobs,
            proposal_id=proposal_id,
            decision=decision.decision,
            reason=decision.reason,
            by=caller.actor,
        )


@router.post(
    "/models/{sha256}/rollback",
    status_code=204,
    summary="Go back to a bundle that read before",
    responses=problems_of(401, 403, 409, 422),
)
def post_rollback(sha256: str, why: Reason, caller: _Promoter) -> None:
    """People only; no gate and nobody else is needed."""
    with transaction() as session:
        promotion.roll_back(session, to=sha256, reason=why.reason, by=caller.actor)


@router.post(
    "/models/{sha256}/tries",
    status_code=202,
    summary="Try a bundle on a file",
    openapi_extra=RADIOGRAPH,
    responses=problems_of(401, 403, 404, 413, 415, 429),
)
async def post_try(request: Request, sha256: str, caller: _Trainer) -> TryAsked:
    """multipart/form-data with one `file`: DICOM, PNG or JPEG. It is deleted once it was looked at; header
    and age are not asked, only the picture.
    """
    blobs = parts_of(request).blobs
    async with receiving_radiograph(request, blobs) as staged:
        look_id = await run_in_threadpool(try_on_file, staged, candidate=sha256, blobs=blobs, by=caller.actor)
    return TryAsked(id=look_id, url=f"/api/v1/tries/{look_id}")


@router.get("/tries/{look_id}", summary="What came of a try", responses=problems_of(401, 403, 404))
def get_try(look_id: UUID, caller: _Trainer) -> Try:
    """Only whoever asked may see it, for a quarter of an hour."""
    look = looks.find(look_id, by=caller.actor.id)
    if look.question.candidate is None:
        raise NotFound("There is no such try.")
    said = look.answer or {}
    return Try(
        id=look_id,
        state=look.state,
        reason=told(look.reason) or None,
        picture=said.get("picture"),
        **{name: _told(said[name]) for name in ("active", "candidate") if name in said},
    )


def _told(said: dict[str, Any]) -> dict[str, Any]:
    return said | {"reason": told(said["reason"]) or None, "notices": [told(one) for one in said["notices"]]}


def _shown(found: CandidateShown) -> ModelShown:
    return ModelShown(
        **Model.model_validate(found.bundle).model_dump(),
        why_not=told(found.why_not) or None,
        training_run=found.trained.run_id if found.trained else None,
        evaluations=[_listed(one) for one in found.evaluations],
        proposals=[ProposalListed.model_validate(one) for one in found.proposals],
        promotions=[PromotionListed.model_validate(one) for one in found.promotions],
    )


def _listed(found: EvaluationShown) -> EvaluationListed:
    return EvaluationListed.model_validate(found)
