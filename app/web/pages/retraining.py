"""Retraining from corrections: the button, and when it is pressed by itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import queue
from app.commands import retraining
from app.domain.roles import Caller, Permission
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Posted
from app.web.pages.render import see
from app.web.parts import parts_of

router = APIRouter(prefix="/training", route_class=GuardedRoute)
_Trainer = Annotated[Caller, require(Permission.TRAIN)]


@router.post("/again")
def again(request: Request, form: Posted, caller: _Trainer) -> Response:  # noqa: ARG001
    """A snapshot of all there is to learn from is taken, and a quick training of it begins."""
    with transaction() as session:
        run_id, job_id = retraining.retrain(
            session, blobs=parts_of(request).blobs, occasion="asked", by=caller.actor
        )
    queue.ring(queue.LEARN, str(job_id))
    return see(f"/training/runs/{run_id}")


@router.post("/plan")
def choose(form: Posted, caller: _Trainer) -> Response:
    """From now on a training begins by itself so often, or never."""
    with transaction() as session:
        retraining.choose(
            session,
            every_days=form.number("every_days"),
            after_reviews=form.number("after_reviews"),
            by=caller.actor,
        )
    return see("/training?planned=true")
