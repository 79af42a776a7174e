"""WADO-RS: retrieve instances, metadata, frames and bulk data as they are stored (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.commands import viewing
from app.dicom import wado
from app.dicom.wado import Frame, frame_media_type, part10_form
from app.domain.roles import Actor, Caller, Permission
from app.errors import BadRequest, NotAcceptable, NotFound
from app.queries import dicomweb
from app.queries.dicomweb import Place, StoredInstance
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.dicomweb.datasets import Part, base_url, dataset_list, multipart
from app.web.dicomweb.negotiation import (
    ANY_SYNTAX,
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    OCTETS,
    accepted_by,
    dataset_form,
    not_acceptable,
)
from app.web.dicomweb.qido import address_of
from app.web.dicomweb.stow import uid
from app.web.openapi import problems_of
from app.web.parts import parts_of

router = APIRouter(prefix="/dicomweb", route_class=GuardedRoute, tags=["WADO-RS"])

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
MOST_INSTANCES = 2000
MOST_FRAMES = 1000
_CHUNK = 256 * 1024
_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_Reader = Annotated[Caller, require(Permission.READ)]


def _route(*media_types: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {
        "response_class": Response,
        "responses": {
            200: {"description": "As asked for.", "content": content},
            **problems_of(401, 403, 404, 406),
        },
    }


_STORED = _route("multipart/related", DICOM)
_METADATA = _route(DICOM_JSON, DICOM_XML)
_FRAMES = _route("multipart/related", OCTETS)


def stored_at(place: Place, by: Actor) -> tuple[StoredInstance, ...]:
    """What is at the address, and the look at it is on record; NotFound where there is nothing."""
    with transaction() as session:
        found = dicomweb.instances(session, place, limit=MOST_INSTANCES + 1)
        for study_id in dict.fromkeys(instance.study_id for instance in found):
            viewing.look(session, study_id=study_id, by=by, via="dicomweb")
    if not found:
        raise NotFound("Nothing is stored at this address.")
    if len(found) > MOST_INSTANCES:
        raise NotAcceptable(
            f"More than {MOST_INSTANCES:,} instances are stored there. Retrieve them by series."
        )
    return found


def dicom_at(place: Place, by: Actor) -> tuple[StoredInstance, ...]:
    """The DICOM instances at the address; NotAcceptable where what is there was sent as PNG or JPEG."""
    found = tuple(instance for instance in stored_at(place, by) if instance.media_type == DICOM)
    if not found:
        raise NotAcceptable(
            "The image was sent as PNG or JPEG and is no DICOM instance. Ask for its `rendered` picture."
        )
    return found


@router.get("/studies/{study}", summary="Retrieve a study", **_STORED)
def get_study(request: Request, study: str, caller: _Reader) -> Response:
    """All instances of the study, as stored."""
    return _instances(request, Place(study=uid(study)), caller)


@router.get(_SERIES, summary="Retrieve a series", **_STORED)
def get_series(request: Request, study: str, series: str, caller: _Reader) -> Response:
    """All instances of the series, as stored."""
    return _instances(request, Place(study=uid(study), series=uid(series)), caller)


@router.get(_INSTANCE, summary="Retrieve an instance", **_STORED)
def get_instance(request: Request, study: str, series: str, instance: str, caller: _Reader) -> Response:
    """The instance, as stored."""
    return _instances(request, _place(study, series, instance), caller)


@router.get("/studies/{study}/metadata", summary="Metadata of a study", **_METADATA)
def get_study_metadata(request: Request, study: str, caller: _Reader) -> Response:
    """All that the instances' headers say."""
    return _metadata(request, Place(study=uid(study)), caller)


@router.get(_SERIES + "/metadata", summary="Metadata of a series", **_METADATA)
def get_series_metadata(request: Request, study: str, series: str, caller: _Reader) -> Response:
    """All that the instances' headers say."""
    return _metadata(request, Place(study=uid(study), series=uid(series)), caller)


@router.get(_INSTANCE + "/metadata", summary="Metadata of an instance", **_METADATA)
def get_metadata(request: Request, study: str, series: str, instance: str, caller: _Reader) -> Response:
    """All that the instance's header says; pixel data stand as an address."""
    return _metadata(request, _place(study, series, instance), caller)


@router.get(_INSTANCE + "/frames/{frames}", summary="Frames of an instance", **_FRAMES)
async def get_frames(
    request: Request, study: str, series: str, instance: str, frames: str, caller: _Reader
) -> Response:
    """Frames by number, separated by commas: as stored, or uncompressed where the caller asks for that."""
    found = await run_in_threadpool(dicom_at, _place(study, series, instance), caller.actor)
    numbers = _numbers(frames)
    path = await run_in_threadpool(parts_of(request).blobs.path, found[0].sha256)
    return await _frames(request, path, found[0], numbers, single=len(numbers) == 1)


@router.get(_INSTANCE + "/bulkdata/7FE00010", summary="Pixel data of an instance", **_FRAMES)
async def get_bulk_data(
    request: Request, study: str, series: str, instance: str, caller: _Reader
) -> Response:
    """What the BulkDataURI of the metadata leads to: every frame, as a part of its own."""
    found = await run_in_threadpool(dicom_at, _place(study, series, instance), caller.actor)
    path = await run_in_threadpool(parts_of(request).blobs.path, found[0].sha256)
    return await _frames(request, path, found[0], _all_frames(found[0]), single=False)


def _place(study: str, series: str, instance: str) -> Place:
    return Place(study=uid(study), series=uid(series), instance=uid(instance))


def _all_frames(instance: StoredInstance) -> list[int]:
    values = instance.attributes.get("00280008", {}).get("Value") or [1]
    count = values[0] if isinstance(values[0], int) else 1
    if count > MOST_FRAMES:
        raise NotAcceptable(f"The image has {count:,} frames. Ask for them by number.")
    return list(range(1, max(count, 1) + 1))


def _numbers(frames: str) -> list[int]:
    texts = frames.split(",")
    if len(texts) > 100 or not all(text.isascii() and text.isdecimal() and len(text) < 10 for text in texts):
        raise BadRequest("Name at most 100 frames by number, separated by commas: frames/1,2.")
    return [int(text) for text in texts]


def _instances(request: Request, place: Place, caller: Caller) -> Response:
    found = dicom_at(place, caller.actor)
    blobs, base = parts_of(request).blobs, base_url(request)
    for accepted in accepted_by(request):
        if accepted.transfer_syntax not in (None, ANY_SYNTAX) and any(
            instance.transfer_syntax_uid != accepted.transfer_syntax for instance in found
        ):
            continue
        if accepted.covers_parts(DICOM):
            parts = (
                Part(
                    f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}",
                    _file(blobs.path(instance.sha256)),
                    address_of(instance, base),
                )
                for instance in found
            )
            return multipart(parts, media_type=DICOM)
        if accepted.covers(DICOM) and place.instance is not None:
            return StreamingResponse(_file(blobs.path(found[0].sha256)), media_type=DICOM)
    raise not_acceptable(
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        *({f"transfer-syntax={instance.transfer_syntax_uid}" for instance in found}),
    )


def _file(path: Path) -> Iterator[bytes]:
    """The stored file as Part 10: a dataset that came bare gets its preamble and file meta."""
    head, offset = part10_form(path)
    if head:
        yield head
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK):
            yield chunk


def _metadata(request: Request, place: Place, caller: Caller) -> Response:
    form, media_type = dataset_form(request)
    found = dicom_at(place, caller.actor)
    blobs, base = parts_of(request).blobs, base_url(request)
    models = [
        wado.metadata(
            blobs.path(instance.sha256), bulk_data_url=f"{address_of(instance, base)}/bulkdata/7FE00010"
        )
        for instance in found
    ]
    return dataset_list(models, form=form, media_type=media_type)


async def _frames(
    request: Request, path: Path, instance: StoredInstance, numbers: list[int], *, single: bool
) -> Response:
    """The frames in the first form that the caller accepts: as stored, else uncompressed."""
    syntax = instance.transfer_syntax_uid or EXPLICIT_LITTLE_ENDIAN
    stored = frame_media_type(syntax)
    for accepted in accepted_by(request):
        wants = accepted.transfer_syntax
        uncompressed = stored == OCTETS
        if wants in (None, ANY_SYNTAX, EXPLICIT_LITTLE_ENDIAN if uncompressed else syntax):
            for media_type in dict.fromkeys((stored, OCTETS) if wants == ANY_SYNTAX else (stored,)):
                if accepted.covers_parts(media_type):
                    found = await run_in_threadpool(wado.frames, path, numbers)
                    return _multipart_frames(found, media_type)
                if single and accepted.covers(media_type):
                    [frame] = await run_in_threadpool(wado.frames, path, numbers)
                    return Response(frame.data, media_type=media_type)
        if wants in (None, EXPLICIT_LITTLE_ENDIAN) and accepted.covers_parts(OCTETS):
            return _multipart_frames(await _decoded(request, path, instance, numbers), OCTETS)
    raise not_acceptable(
        f'multipart/related; type="{stored}"; transfer-syntax={syntax}',
        f'multipart/related; type="{OCTETS}"; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}',
    )


async def _decoded(request: Request, path: Path, instance: StoredInstance, numbers: list[int]) -> list[Frame]:
    parts = parts_of(request)
    decoded = []
    for number in numbers:
        decode = partial(parts.decoders().native_frame, path, number)
        kept = await parts.pictures.picture(instance.sha256, f"frame{number}", decode)
        decoded.append(Frame(await run_in_threadpool(kept.read_bytes), EXPLICIT_LITTLE_ENDIAN, OCTETS))
    return decoded


def _multipart_frames(frames: list[Frame], media_type: str) -> Response:
    parts = (
        Part(f"{media_type}; transfer-syntax={frame.transfer_syntax}", (frame.data,)) for frame in frames
    )
    return multipart(parts, media_type=media_type)
