"""WADO-RS: rendered pictures (PS3.18 10.4.1.1.3), of PNG and JPEG images too."""

from __future__ import annotations

import math
from concurrent.futures import Future
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.dicom.windowing import Window, WindowFunction
from app.domain.roles import Caller, Permission
from app.errors import BadRequest
from app.queries.dicomweb import Place
from app.web.auth import GuardedRoute, require
from app.web.dicomweb.addresses import STUDY_ID_PARAMETER, place_in
from app.web.dicomweb.negotiation import accepted_by, not_acceptable
from app.web.dicomweb.wado import found_at
from app.web.openapi import problems_of
from app.web.parts import parts_of
from app.web.ranged import RangedFile

router = APIRouter(prefix="/dicomweb", route_class=GuardedRoute, tags=["WADO-RS"])

_INSTANCE = "/studies/{study}/series/{series}/instances/{instance}"
_LARGEST_SIDE = 16_384
_FUNCTIONS: dict[str, WindowFunction] = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}
_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": {"parameters": [STUDY_ID_PARAMETER]},
    "responses": {
        200: {"description": "The picture.", "content": {"image/jpeg": {}, "image/png": {}}},
        **problems_of(401, 403, 404, 406, 409, 416),
    },
}
_Reader = Annotated[Caller, require(Permission.READ)]
_WindowText = Annotated[
    str | None, Query(alias="window", max_length=100, description="center,width,function")
]
_ViewportText = Annotated[str | None, Query(alias="viewport", max_length=100, description="columns,rows")]
_Quality = Annotated[int, Query(ge=1, le=100)]


@router.get(_INSTANCE + "/rendered", summary="An instance as a picture", **_ROUTE)
async def get_rendered(
    request: Request,
    study: str,
    series: str,
    instance: str,
    caller: _Reader,
    window: _WindowText = None,
    viewport: _ViewportText = None,
    quality: _Quality = 90,
) -> Response:
    """As a person should first see it, or by the window given in modality values; fitted to the viewport."""
    place = place_in(request, study, series, instance)
    return await _rendered(request, place, caller, window_in(window), viewport_in(viewport), quality)


@router.get(_INSTANCE + "/thumbnail", summary="An instance as a small picture", **_ROUTE)
async def get_thumbnail(
    request: Request,
    study: str,
    series: str,
    instance: str,
    caller: _Reader,
    viewport: _ViewportText = None,
) -> Response:
    """At most 256 pixels a side unless the viewport says otherwise."""
    place = place_in(request, study, series, instance)
    return await _rendered(request, place, caller, None, viewport_in(viewport) or (256, 256), 80)


async def _rendered(
    request: Request,
    place: Place,
    caller: Caller,
    window: Window | None,
    viewport: tuple[int, int] | None,
    quality: int,
) -> Response:
    kind = _format(request)
    found = await run_in_threadpool(found_at, request, place, caller.actor)
    image = await run_in_threadpool(partial(found.first, only_dicom=False))
    parts = parts_of(request)
    path = await run_in_threadpool(parts.blobs.path, image.sha256)

    def decode() -> Future[bytes]:
        return parts.decoders().rendered(
            path,
            image.media_type,
            window=window,
            viewport=viewport,
            picture_format=kind,
            quality=quality,
        )

    if window is not None or viewport is not None or quality != 90:
        data = await parts.pictures.unkept(decode)
        return Response(data, media_type=f"image/{kind}")
    picture = await parts.pictures.picture(image.sha256, f"rendered.{kind}", decode)
    return RangedFile(picture, media_type=f"image/{kind}")


def _format(request: Request) -> Literal["jpeg", "png"]:
    for accepted in accepted_by(request):
        if accepted.covers("image/jpeg"):
            return "jpeg"
        if accepted.covers("image/png"):
            return "png"
    raise not_acceptable("image/jpeg", "image/png")


def window_in(text: str | None) -> Window | None:
    """The window of a `window` parameter (PS3.18 8.3.5.1.4); raises BadRequest for what is none."""
    if text is None:
        return None
    center, width, function = ([*text.split(","), "", ""])[:3]
    try:
        values = float(center), float(width)
    except ValueError:
        raise _bad_window() from None
    if (
        text.count(",") > 2
        or not all(map(math.isfinite, values))
        or max(map(abs, values)) > 1e9
        or values[1] <= 0
    ):
        raise _bad_window()
    name = _FUNCTIONS.get(function.strip().lower() or "linear")
    if name is None:
        raise _bad_window()
    return Window(center=values[0], width=values[1], function=name)


def _bad_window() -> BadRequest:
    return BadRequest("A window is center,width,function: 40,400,linear (or linear-exact, or sigmoid).")


def viewport_in(text: str | None) -> tuple[int, int] | None:
    """The size of a `viewport` parameter as columns, rows; raises BadRequest for what is none and crops."""
    if text is None:
        return None
    sizes = [part.strip() for part in text.split(",")]
    whole = all(size.isascii() and size.isdecimal() and len(size) < 6 for size in sizes)
    if len(sizes) != 2 or not whole or not all(1 <= int(size) <= _LARGEST_SIDE for size in sizes):
        raise BadRequest("A viewport is columns,rows: 512,512. Parts of an image cannot be asked for.")
    return int(sizes[0]), int(sizes[1])
