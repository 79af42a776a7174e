"""What runs and what waits, for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import checks, queue
from app.checks.service import SERVICE
from app.domain.roles import Caller, Permission
from app.queries import operations
from app.queries.conflicts import open_conflicts
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page

router = APIRouter(route_class=GuardedRoute)


@router.get("/status")
def status(request: Request, caller: Annotated[Caller, require(Permission.READ_OPERATIONS)]) -> Response:
    """What `firstread doctor` says, workers, the queue's age and the counts."""
    with transaction() as session:
        backlog = operations.backlog(session)
        conflicts = open_conflicts(session)
    workers = queue.workers()
    return page(
        request,
        "status.html",
        caller=caller,
        backlog=backlog,
        conflicts=conflicts,
        findings=checks.latest(settings(), SERVICE),
        workers=workers,
        at_work=sum(facts.get("part") == queue.SCREENING_QUEUE for facts in workers.values()),
        stalled=(backlog.oldest_unscreened_seconds or 0) > settings().stalled_minutes * 60,
        stalled_minutes=settings().stalled_minutes,
    )
