"""Similar confirmed cases: a part of the study page, fetched when asked for, and a page without scripts."""

from __future__ import annotations

from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from app.domain.roles import Caller, Permission
from app.queries.similar import SimilarCases
from app.web.auth import GuardedRoute, require
from app.web.pages.render import fragment, page
from app.web.similar import may_know_names, similar_to

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)


@router.get("/similar")
def similar_page(
    request: Request,
    study_id: UUID,
    caller: Annotated[Caller, require(Permission.REVIEW)],
    part: Annotated[bool, Query()] = False,
) -> Response:
    """The cases as a page, or as the `part` that the study page takes in."""
    found = similar_to(study_id, by=caller.actor)
    said, named = said_of(found), may_know_names(caller.actor)
    if part:
        return HTMLResponse(fragment("similar_cases.html", found=found, said=said, named=named))
    return page(request, "similar.html", caller=caller, found=found, said=said, named=named)


def said_of(found: SimilarCases) -> list[tuple[str, list[tuple[str, int]]]]:
    """Finding by finding, how many of the cases were signed as present, absent and uncertain."""
    counts: dict[str, Counter[str]] = {}
    for case in found.cases:
        for finding in case.findings:
            counts.setdefault(finding.name, Counter())[finding.reader] += 1
    order = ("present", "absent", "uncertain")
    return [(name, [(word, count[word]) for word in order if count[word]]) for name, count in counts.items()]
