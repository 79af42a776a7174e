"""Claim, release, sign, amend."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from app.commands import review, takeover, withdrawal
from app.commands.review import Statement
from app.domain.marks import MOST_MARKS
from app.domain.roles import Caller, Permission
from app.domain.sentence import sentence
from app.records.engine import transaction
from app.settings import settings
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.marks import MarkInput
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["review"])
_PROBLEMS = problems_of(401, 403, 404, 409)
_FindingName = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class VerdictInput(Input):
    """What a reader says of a study: `findings` says of each what is so."""

    revision: int = Field(
        ge=1,
        description="The `revision` of the study the reader had before them, as GET /api/v1/studies/{id} "
        "answered it. A study changed since is not signed (409).",
    )
    findings: dict[_FindingName, Statement] = Field(default_factory=dict, max_length=50)
    comment: str = Field(default="", max_length=10_000)
    marks: list[MarkInput] = Field(default_factory=list, max_length=MOST_MARKS)

    @model_validator(mode="before")
    @classmethod
    def _says_what_was_read(cls, data: Any) -> Any:
        """Whoever signs must say what they had seen: else a reading nobody looked at could be confirmed."""
        if isinstance(data, dict) and data.get("revision") is None:
            raise ValueError(
                sentence(
                    "`revision` is missing; send the `revision` of the study that was read, as "
                    "GET /api/v1/studies/{id} answered it"
                )
            )
        return data


class ReviewInput(VerdictInput):
    """A review: `confirm` agrees with the network in all; otherwise `findings` says what is so."""

    confirm: bool = False


class Signed(BaseModel):
    """What the signature left."""

    id: UUID
    study: UUID
    state: str
    verdict: str
    revision: int
    final_at: datetime | None = Field(
        description="Until then it can be undone and nothing is sent; null where it is final at once."
    )


def signed_of(signed: review.Signed) -> Signed:
    """The signature as the interface shows it."""
    return Signed(
        id=signed.review_id,
        study=signed.study_id,
        state=signed.state.value,
        verdict=signed.verdict,
        revision=signed.revision,
        final_at=signed.final_at,
    )


class Undone(BaseModel):
    """Where the study stands after a signature was undone."""

    study: UUID
    review: UUID
    state: str
    revision: int


@router.post(
    "/studies/{study_id}/claim", status_code=204, summary="Hold a study while reading", responses=_PROBLEMS
)
def claim(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Response:
    """Nobody else can claim it until it is released, signed or the claim expires; again prolongs."""
    with transaction() as session:
        review.claim(session, study_id=study_id, by=caller.actor, minutes=settings().claim_minutes)
    return Response(status_code=204)


@router.post("/studies/{study_id}/release", status_code=204, summary="Let go of a study", responses=_PROBLEMS)
def release(study_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Response:
    """The study is free again."""
    with transaction() as session:
        review.release(session, study_id=study_id, by=caller.actor)
    return Response(status_code=204)


class TakeOverInput(Input):
    """Why a study that somebody else holds is taken over; they are shown it."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=takeover.LONGEST_REASON)]
    held_since: AwareDatetime | None = Field(
        default=None,
        description="`held_since` of the study as it was seen: 409 where that hold has given way to another, "
        "so that a request sent again takes nothing over twice. Whatever hold there is without it.",
    )


@router.post(
    "/studies/{study_id}/take-over",
    status_code=204,
    summary="Take over a study that somebody else holds",
    responses=_PROBLEMS,
)
def take_over(
    study_id: UUID, body: TakeOverInput, caller: Annotated[Caller, require(Permission.REVIEW)]
) -> Response:
    """Whoever held it is told by whom and why; what they have filled in stays with them."""
    with transaction() as session:
        takeover.take_over(
            session,
            study_id=study_id,
            by=caller.actor,
            reason=body.reason,
            held_since=body.held_since,
            minutes=settings().claim_minutes,
        )
    return Response(status_code=204)


@router.post("/studies/{study_id}/reviews", status_code=201, summary="Sign or amend", responses=_PROBLEMS)
def sign(study_id: UUID, body: ReviewInput, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Signed:
    """The review is stored for ever; a study that was signed before is amended."""
    with transaction() as session:
        signed = review.sign(
            session,
            study_id=study_id,
            by=caller.actor,
            revision=body.revision,
            confirm=body.confirm,
            findings=dict(body.findings),
            comment=body.comment,
            marks=tuple(given.mark() for given in body.marks),
            undo=timedelta(seconds=settings().undo_seconds),
        )
    return signed_of(signed)


@router.post(
    "/studies/{study_id}/reviews/{review_id}/undo", summary="Take back a signature", responses=_PROBLEMS
)
def undo(study_id: UUID, review_id: UUID, caller: Annotated[Caller, require(Permission.REVIEW)]) -> Undone:
    """Within the time of undoing the signer takes it back: it counts nowhere, nothing is sent, and the study
    is as it was before. 409 says since when it has been final; amend the study then.
    """
    with transaction() as session:
        withdrawn = withdrawal.withdraw(
            session,
            study_id=study_id,
            review_id=review_id,
            by=caller.actor,
            minutes=settings().claim_minutes,
        )
    return Undone(
        study=withdrawn.study_id,
        review=withdrawn.review_id,
        state=withdrawn.state.value,
        revision=withdrawn.revision,
    )
