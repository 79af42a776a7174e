"""Where results are sent, and the letters that could not be delivered."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import queue
from app.commands import delivery
from app.domain.roles import Caller, Permission
from app.errors import Conflict, Problem, Unprocessable
from app.queries import deliveries as queries
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.forms import Form, Posted, press_of
from app.web.pages.render import page, see

router = APIRouter(prefix="/destinations", route_class=GuardedRoute)
_Manager = Annotated[Caller, require(Permission.MANAGE_DESTINATIONS)]
_RECENT = 20
_DEAD = 50


@router.get("")
def destinations_page(request: Request, caller: _Manager, before: UUID | None = None) -> Response:
    """Destinations, dead letters, and what was sent last."""
    return _destinations(request, caller, before=before)


@router.post("")
def add_destination(request: Request, form: Posted, caller: _Manager) -> Response:
    """Results go there from now on; the secret that signs them is shown once."""
    try:
        with transaction() as session:
            secret = delivery.add_destination(
                session,
                name=form.text("name"),
                url=form.text("url"),
                by=caller.actor,
                press=press_of(request, form),
            )
    except (Conflict, Unprocessable) as problem:
        return _destinations(request, caller, problem=problem, form=form)
    return _destinations(request, caller, secret=secret, form=form)


@router.post("/{destination_id}/disable")
def disable_destination(destination_id: UUID, caller: _Manager) -> Response:
    """Nothing more is sent there."""
    with transaction() as session:
        delivery.disable_destination(session, destination_id=destination_id, by=caller.actor)
    return see("/destinations")


@router.post("/deliveries/{delivery_id}/resend")
def resend(request: Request, delivery_id: UUID, caller: _Manager) -> Response:
    """A dead letter is tried again."""
    try:
        with transaction() as session:
            delivery.resend(session, delivery_id=delivery_id, by=caller.actor)
    except Conflict as problem:
        return _destinations(request, caller, problem=problem)
    queue.ring(queue.DELIVER, str(delivery_id))
    return see("/destinations")


def _destinations(
    request: Request,
    caller: Caller,
    *,
    before: UUID | None = None,
    problem: Problem | None = None,
    secret: str | None = None,
    form: Form | None = None,
) -> Response:
    with transaction() as session:
        known = queries.destinations(session)
        dead = queries.deliveries(session, state="dead", before=before, size=_DEAD + 1)
        recent = queries.deliveries(session, size=_RECENT)
    return page(
        request,
        "destinations.html",
        caller=caller,
        status=problem.status if problem else 200,
        destinations=known,
        dead=dead[:_DEAD],
        more=dead[_DEAD - 1].id if len(dead) > _DEAD else None,
        recent=recent,
        problem=problem,
        secret=secret,
        form=form or Form(()),
    )
