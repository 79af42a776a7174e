"""Pictures at full depth or as previews. The web process decodes nothing: its supervised children do."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import Future
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.commands import viewing
from app.domain.roles import Caller, Permission
from app.queries import studies as queries
from app.queries.studies import ImageShown
from app.records.engine import transaction
from app.web.ahead import is_ahead
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.ranged import RangedFile
from app.web.spacing import is_at_detector, spacing_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["images"])
_Reader = Annotated[Caller, require(Permission.READ)]
_PREVIEW_SIDE = 1024
_THUMBNAIL_SIDE = 192


class ShownWindow(BaseModel):
    """A window in modality values."""

    center: float
    width: float
    explanation: str | None = None
    function: str


class PixelsInfo(BaseModel):
    """How to show the samples: modality value = sample * slope + intercept."""

    rows: int
    columns: int
    slope: float
    intercept: float
    minimum: int = Field(description="Smallest sample that is no padding.")
    maximum: int
    padding: tuple[int, int] | None = Field(description="Lowest and highest sample that is padding.")
    photometric: str = Field(description="MONOCHROME1 means that the lowest value is shown white.")
    windows: list[ShownWindow]
    voi_lut: dict[str, Any] | None
    pixel_spacing_mm: tuple[float, float] | None = Field(
        description="Between rows, between columns; null where the image does not say."
    )
    spacing_at_detector: bool = Field(
        description="The spacing is not corrected for how the beam widens: lengths exceed the patient's."
    )
    byte_length: int
    pixels_url: str


def _seen(image_id: UUID, request: Request, caller: Caller) -> ImageShown:
    with transaction() as session:
        study_id, image = queries.image(session, image_id=image_id)
        if is_ahead(request, caller):
            viewing.send_ahead(session, study_id=study_id, by=caller.actor)
        else:
            viewing.look(session, study_id=study_id, by=caller.actor, via="api")
    return image


@router.get(
    "/images/{image_id}/preview",
    summary="A JPEG as a person should first see it",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems_of(401, 403, 404, 416)},
)
async def preview(request: Request, image_id: UUID, caller: _Reader) -> Response:
    """At most 1,024 pixels a side; windowed, bone bright."""
    parts = parts_of(request)
    image = await run_in_threadpool(_seen, image_id, request, caller)
    if image.preview_sha256 is not None and parts.blobs.has(image.preview_sha256):
        return RangedFile(parts.blobs.path(image.preview_sha256), media_type="image/jpeg")
    source = await run_in_threadpool(parts.blobs.path, image.sha256)

    def decode() -> Future[bytes]:
        side = (_PREVIEW_SIDE, _PREVIEW_SIDE)
        return parts.decoders().rendered(source, image.media_type, viewport=side, quality=85)

    picture = await parts.pictures.picture(image.sha256, "preview.jpeg", decode)
    return RangedFile(picture, media_type="image/jpeg")


@router.get(
    "/images/{image_id}/thumbnail",
    summary="A small JPEG to know the image by",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems_of(401, 403, 404, 416)},
)
async def thumbnail(request: Request, image_id: UUID, caller: _Reader) -> Response:
    """At most 192 pixels a side; made of the preview where there is one."""
    parts = parts_of(request)
    image = await run_in_threadpool(_seen, image_id, request, caller)
    preview = image.preview_sha256 if image.preview_sha256 and parts.blobs.has(image.preview_sha256) else None
    source = await run_in_threadpool(parts.blobs.path, preview or image.sha256)

    def decode() -> Future[bytes]:
        side = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
        kind = "image/jpeg" if preview else image.media_type
        return parts.decoders().rendered(source, kind, viewport=side, quality=80)

    picture = await parts.pictures.picture(image.sha256, "thumbnail.jpeg", decode)
    return RangedFile(picture, media_type="image/jpeg")


@router.get(
    "/images/{image_id}/pixels",
    summary="The samples at full depth",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **problems_of(401, 403, 404, 416)},
)
async def pixels(request: Request, image_id: UUID, caller: _Reader) -> Response:
    """Little-endian uint16, row by row, gzipped where the caller takes it; `pixels/info` says the rest."""
    image = await run_in_threadpool(_seen, image_id, request, caller)
    samples, _ = await parts_of(request).pixels(image.sha256, image.media_type)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return RangedFile(samples, media_type="application/octet-stream", headers=headers)
    data = await run_in_threadpool(lambda: gzip.decompress(samples.read_bytes()))
    return Response(data, media_type="application/octet-stream", headers={"Vary": "Accept-Encoding"})


@router.get(
    "/images/{image_id}/pixels/info",
    summary="How to show the samples",
    responses=problems_of(401, 403, 404),
)
async def pixels_info(request: Request, image_id: UUID, caller: _Reader) -> PixelsInfo:
    """Windows, rescaling, polarity and spacing of what `pixels` gives."""
    image = await run_in_threadpool(_seen, image_id, request, caller)
    _, info = await parts_of(request).pixels(image.sha256, image.media_type)
    known = json.loads(await run_in_threadpool(info.read_text))
    return PixelsInfo(
        **known,
        pixel_spacing_mm=spacing_of(image.header),
        spacing_at_detector=is_at_detector(image.header),
        pixels_url=f"/api/v1/images/{image_id}/pixels",
    )
