"""Undo: the form that takes a signature back, and what it says once that is too late."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.commands import withdrawal
from app.commands.withdrawal import too_late
from app.domain.roles import Caller, Permission
from app.errors import Conflict, Forbidden
from app.local_time import local
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.render import onwards
from app.web.pages.study import study_page_of

router = APIRouter(prefix="/studies/{study_id}/reviews/{review_id}", route_class=GuardedRoute)


@router.post("/undo")
def undo(
    request: Request,
    study_id: UUID,
    review_id: UUID,
    caller: Annotated[Caller, require(Permission.REVIEW)],
) -> Response:
    """Leads back to the study, with what had been signed filled in and unsigned."""
    try:
        with transaction() as session:
            withdrawal.withdraw(
                session,
                study_id=study_id,
                review_id=review_id,
                by=caller.actor,
                minutes=settings().claim_minutes,
            )
    except (Conflict, Forbidden) as refusal:
        final_at = refusal.extensions.get("final_at")
        problem = too_late(local(datetime.fromisoformat(final_at))) if final_at else refusal
        return study_page_of(request, study_id, caller, status=problem.status, problem=problem)
    return onwards(request, f"/studies/{study_id}")
