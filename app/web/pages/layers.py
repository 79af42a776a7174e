"""What the layers see: choose an image, wait a moment, look."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.queries.newest import newest_images
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.layers import ADDED_UP, SENTENCES, ask_of_image, find
from app.web.pages.forms import Posted
from app.web.pages.render import page, see

router = APIRouter(prefix="/models/layers", route_class=GuardedRoute)
_Administrator = Annotated[Caller, require(Permission.LOOK_INSIDE)]

_OFFERED = 10


@router.get("")
def choose(request: Request, caller: _Administrator, study: UUID | None = None) -> Response:
    """The images of one study, or the newest there are; and a place for a file."""
    with transaction() as session:
        images = newest_images(session, study_id=study, size=_OFFERED, to=caller.actor)
    return page(
        request,
        "layers.html",
        caller=caller,
        images=images,
        study=study,
        largest=settings().max_file_bytes,
    )


@router.post("")
def ask(form: Posted, caller: _Administrator) -> Response:
    """A worker will look at the stored image."""
    return see(f"/models/layers/{ask_of_image(form.id('image'), by=caller.actor)}")


@router.get("/{look_id}")
def show(request: Request, look_id: UUID, caller: _Administrator) -> Response:
    """The grid, or the wait for it: the page loads itself again until there is an answer."""
    look = find(look_id, by=caller.actor)
    return page(
        request,
        "layers_shown.html",
        caller=caller,
        look=look,
        sentences=SENTENCES,
        added_up=ADDED_UP,
    )
