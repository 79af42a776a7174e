"""The worklist, and its rows for live pages."""

from __future__ import annotations

import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.domain.states import State
from app.errors import Forbidden
from app.queries import worklist
from app.queries.worklist import WorklistEntry
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require, signed_in
from app.web.pages.render import doors_of, fragment, page, see

router = APIRouter(route_class=GuardedRoute)
_ROWS_AT_ONCE = 50
UNREAD = (State.ADMITTED, State.SCREENING, State.WITHHELD, State.FAILED)


@router.get("/")
def first_page(
    request: Request,
    caller: Annotated[Caller, signed_in()],
    cursor: str | None = None,
    signed: UUID | None = None,
) -> Response:
    """The worklist, or the first page that somebody without access to studies may see."""
    if not caller.actor.may(Permission.READ):
        doors = doors_of(caller)
        if not doors:
            raise Forbidden("Your roles open no page here. Ask an administrator.")
        return see(doors[0].address)
    return _worklist(request, caller, cursor=cursor, signed=signed)


@router.get("/worklist/page")
def live_page(
    request: Request,
    caller: Annotated[Caller, require(Permission.READ, counts_as_activity=False)],
    cursor: str | None = None,
) -> Response:
    """The same page for a script that renews an open one: an unattended screen keeps no session alive."""
    return _worklist(request, caller, cursor=cursor, signed=None)


def _worklist(request: Request, caller: Caller, *, cursor: str | None, signed: UUID | None) -> Response:
    with transaction() as session:
        shown = worklist.page(session, cursor=cursor)
        counts = worklist.counts(session)
    stalled = counts.oldest_unscreened_seconds
    return page(
        request,
        "worklist.html",
        caller=caller,
        entries=shown.entries,
        next_cursor=shown.next_cursor,
        counts=counts,
        stalled_seconds=stalled if stalled and stalled > settings().stalled_minutes * 60 else None,
        is_first=cursor is None,
        signed=signed,
        server=(settings().public_url or str(request.base_url)).rstrip("/"),
    )


@router.get("/worklist/rows")
def rows(
    caller: Annotated[Caller, require(Permission.READ, counts_as_activity=False)],
    ids: Annotated[list[UUID], Query(alias="id", max_length=_ROWS_AT_ONCE)],
) -> Response:
    """The rows of these studies as they are now, by id: `{html, rank, open}`; unknown ones are left out."""
    with transaction() as session:
        entries = worklist.entries(session, study_ids=ids)
        counts = worklist.counts(session)
    return Response(
        json.dumps(
            {
                "rows": {str(entry.study_id): _row(entry, caller) for entry in entries},
                "unsigned": counts.unsigned,
                "unread": counts.unread_by_network,
            },
        ),
        media_type="application/json",
    )


def _row(entry: WorklistEntry, caller: Caller) -> dict[str, str | bool]:
    return {
        "html": fragment("worklist_row.html", entry=entry, caller=caller),
        "rank": entry.rank_at.isoformat(),
        "open": entry.state not in (State.SIGNED, State.AMENDED),
    }
