"""How much the network's score rested on each part of an image: made when somebody asks, then kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app import looks
from app.commands import explaining
from app.commands.explaining import Explained
from app.domain.roles import Caller, Permission
from app.errors import NotFound
from app.records.engine import transaction
from app.told import told
from app.web.api.shown import USE
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["images"])

_Reader = Annotated[Caller, require(Permission.READ)]


class OcclusionMap(BaseModel):
    """The map, or what has come of asking for it."""

    image: UUID
    state: str = Field(description="waiting, done or failed")
    reason: str | None = Field(default=None, description="Why it failed, in a sentence.")
    finding: str | None = None
    cells: list[list[float]] | None = Field(
        default=None,
        description="Rows from the top, over the whole image, in units of the logit: how far the score falls "
        "when this part alone is shown as in an average healthy child, and how far it rises when this part "
        "alone is as it is. Above 0 speaks for the finding. They do not add up to anything.",
    )
    runtime: str | None = None
    made_at: datetime | None = None
    use: str = USE


@router.post(
    "/images/{image_id}/occlusion-map",
    status_code=202,
    summary="Have the occlusion map of an image made",
    responses={200: {"model": OcclusionMap}, **problems_of(401, 403, 404, 409, 429)},
)
def post_map(image_id: UUID, caller: _Reader, response: Response) -> OcclusionMap:
    """A worker takes a few seconds; GET the same address until `state` is not `waiting`. 200 where it was
    made before. Only for bundles whose occlusion map passed its test.
    """
    found = _explained(image_id, caller)
    if found.kept is not None:
        response.status_code = 200
        return _made(image_id, found)
    looks.ask_for_map(
        found.image_reading_id,
        bundle=found.bundle_sha256,
        sha256=found.image_sha256,
        media_type=found.media_type,
    )
    return OcclusionMap(image=image_id, state="waiting")


@router.get(
    "/images/{image_id}/occlusion-map",
    summary="The occlusion map of an image",
    responses=problems_of(401, 403, 404, 409),
)
def get_map(image_id: UUID, caller: _Reader) -> OcclusionMap:
    """The same for everybody, whoever asked for it. NotFound where nobody has asked within minutes."""
    found = _explained(image_id, caller)
    if found.kept is not None:
        return _made(image_id, found)
    look = looks.find_map(found.image_reading_id)
    if look is None:
        raise NotFound("Nobody has asked for this image's occlusion map. POST to this address first.")
    state = "failed" if look.state == "failed" else "waiting"
    return OcclusionMap(image=image_id, state=state, reason=told(look.reason) or None)


def _explained(image_id: UUID, caller: Caller) -> Explained:
    with transaction() as session:
        return explaining.explained(session, image_id=image_id, by=caller.actor)


def _made(image_id: UUID, found: Explained) -> OcclusionMap:
    assert found.kept is not None
    return OcclusionMap(
        image=image_id,
        state="done",
        finding=found.kept.finding,
        cells=found.kept.cells,
        runtime=found.kept.runtime,
        made_at=found.kept.made_at,
    )
