"""Studies whose readers disagree, side by side; one is opened to be adjudicated."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.queries import adjudication
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page

router = APIRouter(route_class=GuardedRoute)


@router.get("/adjudication")
def adjudication_page(
    request: Request, caller: Annotated[Caller, require(Permission.REVIEW)], cursor: str | None = None
) -> Response:
    """Page by page, the longest signed first."""
    with transaction() as session:
        shown = adjudication.disputes(session, who=caller.actor, cursor=cursor)
        count = adjudication.count(session, who=caller.actor)
    return page(
        request,
        "adjudication.html",
        caller=caller,
        disputes=shown.disputes,
        next_cursor=shown.next_cursor,
        is_first=cursor is None,
        count=count,
    )
