"""Where finished readings are sent, and what became of each message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, field_validator

from app import queue
from app.commands import delivery
from app.domain.roles import Caller, Permission
from app.domain.sentence import sentence
from app.queries import deliveries as queries
from app.records.engine import transaction
from app.web.api.shown import Answer
from app.web.api.values import Input, one_line
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["results"])
_Manager = Annotated[Caller, require(Permission.MANAGE_DESTINATIONS)]
_Watcher = Annotated[Caller, require(Permission.MANAGE_DESTINATIONS, Permission.READ_OPERATIONS)]


class DestinationInput(Input):
    """Where to send."""

    name: str = Field(min_length=1, max_length=100)
    url: str = Field(min_length=1, max_length=2000, description="http or https, without a user name in it")

    @field_validator("name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return one_line(value, longest=100, what="a name")

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        address = value.strip()
        try:
            port = urlsplit(address).port
        except ValueError:
            port = 0
        if port == 0 or not address.isprintable() or " " in address:
            raise ValueError(sentence("this is not an address"))
        return address


class DestinationAdded(BaseModel):
    """The destination, with the secret that signs what it gets."""

    name: str
    url: str
    secret: str = Field(description="Shown once. FirstRead-Signature is `t=...,v1=` HMAC-SHA256 of `t.body`.")


class Destination(Answer):
    """A destination."""

    id: UUID
    name: str
    url: str
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None


class Delivery(Answer):
    """One message to one destination."""

    id: UUID
    destination: str
    study_id: UUID
    event: str
    state: str = Field(description="pending, delivered, dead or withdrawn")
    attempts: int
    created_at: datetime
    not_before: datetime
    delivered_at: datetime | None
    last_error: str | None


@router.get("/destinations", summary="Where results are sent", responses=problems_of(401, 403))
def get_destinations(_caller: _Watcher) -> list[Destination]:
    """All destinations, disabled or not."""
    with transaction() as session:
        found = queries.destinations(session)
    return [Destination.model_validate(destination) for destination in found]


@router.post(
    "/destinations", status_code=201, summary="Send results there too", responses=problems_of(401, 403, 409)
)
def add_destination(body: DestinationInput, caller: _Manager) -> DestinationAdded:
    """Every reading from now on is sent there, signed with the secret that this answer alone shows."""
    with transaction() as session:
        secret = delivery.add_destination(session, name=body.name, url=body.url, by=caller.actor)
    return DestinationAdded(name=body.name, url=body.url, secret=secret)


@router.delete(
    "/destinations/{destination_id}",
    status_code=204,
    summary="Send nothing there any more",
    responses=problems_of(401, 403, 404),
)
def disable_destination(destination_id: UUID, caller: _Manager) -> Response:
    """The destination is disabled; it and its messages stay on record."""
    with transaction() as session:
        delivery.disable_destination(session, destination_id=destination_id, by=caller.actor)
    return Response(status_code=204)


@router.get("/deliveries", summary="Messages, the newest first", responses=problems_of(401, 403, 404))
def get_deliveries(
    _caller: _Watcher,
    state: Annotated[str | None, Query(pattern="^(pending|delivered|dead|withdrawn)$")] = None,
    before: Annotated[UUID | None, Query(description="The last message of the page before.")] = None,
    size: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[Delivery]:
    """With `state=dead` this is the dead-letter list."""
    with transaction() as session:
        found = queries.deliveries(session, state=state, before=before, size=size)
    return [Delivery.model_validate(message) for message in found]


@router.post(
    "/deliveries/{delivery_id}/resend",
    status_code=202,
    summary="Try a dead letter again",
    responses=problems_of(401, 403, 404, 409),
)
def resend(delivery_id: UUID, caller: _Manager) -> Response:
    """The message is pending again with all its attempts."""
    with transaction() as session:
        delivery.resend(session, delivery_id=delivery_id, by=caller.actor)
    queue.ring(queue.DELIVER, str(delivery_id))
    return Response(status_code=202)
