"""The worklist, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.domain.roles import Caller, Permission
from app.queries import worklist as queries
from app.records.engine import transaction
from app.web.api.shown import Worklist, row_of
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["studies"])


@router.get("/worklist", summary="Unsigned studies in order", responses=problems_of(401, 403))
def get_worklist(
    caller: Annotated[Caller, require(Permission.READ)],
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    size: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Worklist:
    """The study that can wait least comes first."""
    with transaction() as session:
        page = queries.page(session, cursor=cursor, size=size, to=caller.actor)
    return Worklist(studies=[row_of(entry) for entry in page.entries], next_cursor=page.next_cursor)
