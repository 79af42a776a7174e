"""What the layers of the network see in an image."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.domain.roles import Caller, Permission
from app.looks import Look
from app.told import told
from app.web.auth import GuardedRoute, require
from app.web.layers import SENTENCES, ask_of_file, ask_of_image, find
from app.web.openapi import file_of, form_of, problems_of
from app.web.parts import parts_of
from app.web.upload import receiving_radiograph

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["network"])

_Administrator = Annotated[Caller, require(Permission.LOOK_INSIDE)]
RADIOGRAPH = form_of("file", file=file_of("DICOM, PNG or JPEG"))


class Asked(BaseModel):
    """A look that a worker will take."""

    id: UUID
    url: str
    page_url: str


class Map(BaseModel):
    """How strongly one detector answered, place by place."""

    detector: int
    png: str = Field(description="Grey PNG in base64, one pixel a cell; white is its strongest answer here.")


class Layer(BaseModel):
    """One layer, and some of its detectors."""

    depth: str = Field(description="early, middle or late")
    sentence: str
    rows: int
    columns: int
    detectors: int
    silent: int = Field(description="Detectors that answered the same everywhere.")
    maps: list[Map] = Field(description="Those that vary most over the image and are least alike.")


class Layers(BaseModel):
    """What came of a look."""

    id: UUID
    state: str = Field(description="waiting, done or failed; gone after a quarter of an hour")
    reason: str | None = Field(description="Why it failed, in a sentence.")
    study: UUID | None
    image: UUID | None
    network: str | None = None
    given: str | None = Field(default=None, description="The image as the network is given it: PNG, base64.")
    layers: list[Layer] = []
    contributions: dict[str, list[list[float]]] = Field(
        default={}, description="What the late layer adds up to, where a reader would be shown it."
    )
    map_withheld: str | None = Field(default=None, description="Why there are no contributions.")


@router.post(
    "/images/{image_id}/layers",
    status_code=202,
    summary="Have the layers shown for a stored image",
    responses=problems_of(401, 403, 404, 429),
)
def post_image(image_id: UUID, caller: _Administrator) -> Asked:
    """A worker takes a few seconds; ask at `url` until `state` is not `waiting`."""
    return _asked(ask_of_image(image_id, by=caller.actor))


@router.post(
    "/layers",
    status_code=202,
    summary="Have the layers shown for a file",
    openapi_extra=RADIOGRAPH,
    responses=problems_of(401, 403, 413, 415, 429),
)
async def post_file(request: Request, caller: _Administrator) -> Asked:
    """multipart/form-data with one `file`: DICOM, PNG or JPEG. It is deleted once it was looked at."""
    blobs = parts_of(request).blobs
    async with receiving_radiograph(request, blobs) as staged:
        return _asked(await run_in_threadpool(ask_of_file, staged, blobs=blobs, by=caller.actor))


@router.get("/layers/{look_id}", summary="What the layers see", responses=problems_of(401, 403, 404))
def get_layers(look_id: UUID, caller: _Administrator) -> Layers:
    """Only whoever asked may see it, for a quarter of an hour."""
    return _shown(look_id, find(look_id, by=caller.actor))


def _asked(look_id: UUID) -> Asked:
    return Asked(id=look_id, url=f"/api/v1/layers/{look_id}", page_url=f"/models/layers/{look_id}")


def _shown(look_id: UUID, look: Look) -> Layers:
    said = look.answer or {}
    layers = [Layer(sentence=told(SENTENCES[layer["depth"]]), **layer) for layer in said.get("layers", [])]
    rest = {
        name: said[name] for name in ("network", "given", "contributions", "map_withheld") if name in said
    }
    return Layers(
        id=look_id,
        state=look.state,
        reason=told(look.reason) or None,
        study=UUID(look.question.study_id) if look.question.study_id else None,
        image=UUID(look.question.image_id) if look.question.image_id else None,
        layers=layers,
        **rest,
    )
