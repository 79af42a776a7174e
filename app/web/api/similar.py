"""Signed studies that are like a study."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from app.domain.roles import Caller, Permission
from app.queries.similar import SimilarCase
from app.told import told
from app.web.api.shown import USE, Answer, study_url
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of
from app.web.similar import MOST, SHOWN, may_know_names, similar_to

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["review"])


class Judged(Answer):
    """One finding of a case."""

    name: str
    reader: str = Field(description="present, absent or uncertain, by the last signature")
    verdict: str | None = Field(
        description="confirmed, corrected, or read where the network had not spoken of it; null where its "
        "opinion is hidden from the caller"
    )
    probability: float | None = Field(description="What the network had said.")
    lane: str | None


class Case(Answer):
    """A signed study of another patient."""

    study: UUID
    url: str
    page_url: str
    image: UUID
    thumbnail_url: str
    likeness: float = Field(description="Cosine of the features: 1 is the same picture to the network.")
    age_years: float | None
    signed_at: datetime
    amended: bool
    verdict: str | None = Field(description="confirmed, corrected or read, as amended last; null as above")
    findings: list[Judged]
    readers: int = Field(description="How many people signed or amended it.")
    reader_names: list[str] | None = Field(description="Null for callers who may not read the audit trail.")


class Similar(Answer):
    """The nearest confirmed cases, the most alike first."""

    study: UUID
    bundle: str | None = Field(description="sha256 of the bundle whose features were compared")
    cases: list[Case]
    why_none: str | None = Field(description="Where there is no case: why, in a sentence.")
    use: str = USE


@router.get(
    "/studies/{study_id}/similar",
    summary="Signed studies that the same network finds alike",
    responses=problems_of(401, 403, 404),
)
def get_similar(
    study_id: UUID,
    caller: Annotated[Caller, require(Permission.REVIEW)],
    size: Annotated[int, Query(ge=1, le=MOST)] = SHOWN,
) -> Similar:
    """Of other patients, with what their last signature says. That each was seen is on record."""
    found = similar_to(study_id, by=caller.actor, size=size)
    named = may_know_names(caller.actor)
    return Similar(
        study=found.study_id,
        bundle=found.bundle_sha256,
        cases=[_case(case, named=named) for case in found.cases],
        why_none=told(found.why_none) or None,
    )


def _case(case: SimilarCase, *, named: bool) -> Case:
    return Case(
        study=case.study_id,
        url=study_url(case.study_id),
        page_url=f"/studies/{case.study_id}",
        image=case.image_id,
        thumbnail_url=f"/api/v1/images/{case.image_id}/thumbnail",
        likeness=round(case.likeness, 4),
        age_years=case.age_years,
        signed_at=case.signed_at,
        amended=case.amended,
        verdict=case.verdict,
        findings=[Judged.model_validate(finding) for finding in case.findings],
        readers=case.readers,
        reader_names=list(case.reader_names) if named else None,
    )
