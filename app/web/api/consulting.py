"""Second opinions and adjudication: what readers ask of each other, and how a disagreement is settled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, StringConstraints

from app.commands import adjudication, consult
from app.domain.roles import Caller, Permission
from app.errors import Unprocessable
from app.queries import adjudication as disputes
from app.queries import second_opinions as opinions
from app.queries.adjudication import Dispute
from app.queries.second_opinions import SecondOpinionShown
from app.records.engine import transaction
from app.settings import settings
from app.web.api.review import Signed, VerdictInput, signed_of
from app.web.api.shown import Answer, study_url
from app.web.api.values import Input
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["second opinions"])
_PROBLEMS = problems_of(401, 403, 404, 409)
_Radiologist = Annotated[Caller, require(Permission.REVIEW)]
_Cursor = Annotated[str | None, Query(max_length=200)]
_Size = Annotated[int, Query(ge=1, le=200)]


class Colleague(Answer):
    """A radiologist who can be asked."""

    username: str
    display_name: str


class Colleagues(Answer):
    """The other radiologists who can sign in, by name."""

    colleagues: list[Colleague]


class QuestionInput(Input):
    """A question to a colleague."""

    of: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The `username` of a radiologist, as GET /api/v1/colleagues lists them."
    )
    question: str = Field(default="", max_length=consult.LONGEST_QUESTION)


class Asked(Answer):
    """The question, once it is asked."""

    id: UUID
    study: UUID


class SecondOpinion(Answer):
    """A question to a colleague, and the answer where there is one."""

    id: UUID
    study: UUID
    study_url: str
    patient_id: str
    patient_name: str | None
    asked_by: str
    asked_of: str
    question: str
    asked_at: datetime
    verdicts_shown: bool = Field(description="The colleague chose to see what others signed before signing.")
    answer: dict[str, Any] | None = Field(
        description="What the colleague's verdict says of each finding; null until it is signed, and while "
        "the caller is asked about the study and sees no verdict before their own."
    )
    answered_at: datetime | None


class SecondOpinions(Answer):
    """One page of them."""

    second_opinions: list[SecondOpinion]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Position(Answer):
    """What one reader says."""

    review_id: UUID
    reader: str
    findings: dict[str, Any]
    comment: str
    signed_at: datetime
    blind: bool = Field(description="The signer had never been shown what the network said.")


class DisputedStudy(Answer):
    """A study whose readers disagree."""

    study: UUID
    study_url: str
    patient_id: str
    patient_name: str | None
    study_description: str | None
    in_dispute: list[str] = Field(description="The findings of which they say different things.")
    positions: list[Position] = Field(description="The latest of each reader, the oldest first.")
    refused: str | None = Field(description="Why the caller may not adjudicate; null where they may.")
    as_a_party: bool = Field(
        description="The caller has signed the study and may all the same: nobody else is there."
    )


class Disputes(Answer):
    """One page of them, the longest signed first."""

    studies: list[DisputedStudy]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


@router.get("/colleagues", summary="Radiologists who can be asked", responses=problems_of(401, 403))
def get_colleagues(caller: _Radiologist) -> Colleagues:
    """The other radiologists who can sign in."""
    with transaction() as session:
        found = opinions.colleagues(session, of=caller.actor)
    return Colleagues(colleagues=[Colleague.model_validate(one) for one in found])


@router.post(
    "/studies/{study_id}/second-opinions",
    status_code=201,
    summary="Ask a colleague for a second opinion",
    responses=_PROBLEMS,
)
def ask(study_id: UUID, body: QuestionInput, caller: _Radiologist) -> Asked:
    """Whoever holds the study or has signed it asks; a hold ends with that. The colleague answers by signing
    a verdict of their own: POST /api/v1/studies/{study_id}/reviews. Only people ask and are asked, no keys.
    """
    with transaction() as session:
        of = opinions.colleague_named(session, body.of)
        if of is None:
            raise Unprocessable("Ask a radiologist of this site.")
        asked = consult.ask(session, study_id=study_id, of=of, question=body.question, by=caller.actor)
    return Asked(id=asked, study=study_id)


@router.get("/second-opinions", summary="What is asked and answered", responses=problems_of(401, 403))
def get_second_opinions(
    caller: _Radiologist,
    side: Literal["asked", "answered"] = "asked",
    cursor: _Cursor = None,
    size: _Size = 50,
) -> SecondOpinions:
    """`asked`: what the caller is asked and has not answered, the oldest first. `answered`: what they asked
    and whose answer they have not seen on the study's page, the newest first. Empty for a key.
    """
    query = opinions.asked_of if side == "asked" else opinions.answers_to
    with transaction() as session:
        found = query(session, who=caller.actor, cursor=cursor, size=size)
    return SecondOpinions(
        second_opinions=[_opinion(one) for one in found.opinions], next_cursor=found.next_cursor
    )


@router.post(
    "/second-opinions/{opinion_id}/withdraw",
    status_code=204,
    summary="Take a question back",
    responses=_PROBLEMS,
)
def withdraw(opinion_id: UUID, caller: _Radiologist) -> Response:
    """The colleague is no longer asked; 409 where they have answered."""
    with transaction() as session:
        consult.withdraw(session, opinion_id=opinion_id, by=caller.actor)
    return Response(status_code=204)


@router.post(
    "/second-opinions/{opinion_id}/verdicts",
    status_code=204,
    summary="See what others signed before answering",
    responses=_PROBLEMS,
)
def show_verdicts(opinion_id: UUID, caller: _Radiologist) -> Response:
    """From now on the study tells the caller, who is asked, the verdicts of others; that is on record."""
    with transaction() as session:
        consult.show_verdicts(session, opinion_id=opinion_id, by=caller.actor)
    return Response(status_code=204)


@router.get("/adjudication", summary="Studies whose readers disagree", responses=problems_of(401, 403))
def get_disputes(caller: _Radiologist, cursor: _Cursor = None, size: _Size = 50) -> Disputes:
    """With what each of them says. Without those of which the caller is asked for an opinion of their own."""
    with transaction() as session:
        found = disputes.disputes(session, who=caller.actor, cursor=cursor, size=size)
    return Disputes(studies=[_disputed(one) for one in found.disputes], next_cursor=found.next_cursor)


@router.post(
    "/studies/{study_id}/adjudication", status_code=201, summary="Settle a disagreement", responses=_PROBLEMS
)
def adjudicate(study_id: UUID, body: VerdictInput, caller: _Radiologist) -> Signed:
    """The verdict amends the study and stands as adjudicated. A radiologist who has not read it signs; one of
    those who have where nobody else is there (409 otherwise). No keys.
    """
    with transaction() as session:
        signed = adjudication.adjudicate(
            session,
            study_id=study_id,
            by=caller.actor,
            revision=body.revision,
            findings=dict(body.findings),
            comment=body.comment,
            marks=tuple(given.mark() for given in body.marks),
            undo=timedelta(seconds=settings().undo_seconds),
        )
    return signed_of(signed)


def _opinion(shown: SecondOpinionShown) -> SecondOpinion:
    values = {name: getattr(shown, name) for name in SecondOpinion.model_fields if hasattr(shown, name)}
    return SecondOpinion(
        **values | {"id": shown.opinion_id, "study": shown.study_id, "study_url": study_url(shown.study_id)}
    )


def _disputed(shown: Dispute) -> DisputedStudy:
    values = {name: getattr(shown, name) for name in DisputedStudy.model_fields if hasattr(shown, name)}
    return DisputedStudy(
        **values
        | {
            "study": shown.study_id,
            "study_url": study_url(shown.study_id),
            "positions": [Position.model_validate(one) for one in shown.positions],
        }
    )
