"""What runs and what waits, for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import queue
from app.domain.roles import Caller, Permission
from app.domain.sentence import sentence
from app.queries import operations
from app.queries.conflicts import open_conflicts
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page
from app.web.parts import parts_of

router = APIRouter(route_class=GuardedRoute)


@router.get("/status")
def status(request: Request, caller: Annotated[Caller, require(Permission.READ_OPERATIONS)]) -> Response:
    """Parts, workers, the queue's age and the counts."""
    with transaction() as session:
        backlog = operations.backlog(session)
        conflicts = open_conflicts(session)
    answers = queue.ready()
    return page(
        request,
        "status.html",
        caller=caller,
        backlog=backlog,
        conflicts=conflicts,
        disk=parts_of(request).disk(),
        broker=sentence("ok") if answers else sentence("does not answer; studies wait for the next sweep"),
        workers=queue.workers() if answers else {},
        stalled=(backlog.oldest_unscreened_seconds or 0) > settings().stalled_minutes * 60,
        stalled_minutes=settings().stalled_minutes,
    )
