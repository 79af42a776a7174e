"""WADO-RS: retrieve instances, metadata, frames and bulk data as they are stored (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from anyio import from_thread
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.commands import viewing
from app.dicom import wado
from app.dicom.wado import Frame, frame_media_type, part10_form
from app.domain.roles import Actor, Caller, Permission
from app.errors import BadRequest, NotAcceptable, NotFound
from app.queries import retrieval
from app.queries.dicomweb import Place
from app.queries.retrieval import After, Holding, StoredFile
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.dicomweb.addresses import STUDY_ID_PARAMETER, address_of, check_one_study, place_in
from app.web.dicomweb.datasets import Part, base_url, begun, dataset_list, multipart
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
from app.web.openapi import problems_of
from app.web.parts import parts_of

router = APIRouter(prefix="/dicomweb", route_class=GuardedRoute, tags=["WADO-RS"])

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
PAGE = 100
"""Instances that are looked up at a time; no more are held, however many an address has."""
MOST_FRAMES = 1000
_CHUNK = 256 * 1024
_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_Reader = Annotated[Caller, require(Permission.READ)]


def _route(*media_types: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {
        "response_class": Response,
        "openapi_extra": {"parameters": [STUDY_ID_PARAMETER]},
        "responses": {
            200: {"description": "As asked for.", "content": content},
            **problems_of(401, 403, 404, 406, 409),
        },
    }


_STORED = _route("multipart/related", DICOM)
_METADATA = _route(DICOM_JSON, DICOM_XML)
_FRAMES = _route("multipart/related", OCTETS)


@dataclass(frozen=True)
class Found:
    """What an address holds of one study; `place` names that study."""

    place: Place
    holding: Holding

    def files(self) -> Iterator[StoredFile]:
        """The DICOM instances, looked up a page at a time; each page is a transaction of its own."""
        after: After | None = None
        while True:
            with transaction() as session:
                files, after = retrieval.files(session, self.place, size=PAGE, after=after)
            yield from files
            if after is None:
                return

    def first(self, *, only_dicom: bool = True) -> StoredFile:
        """The first of them."""
        with transaction() as session:
            [file, *_], _ = retrieval.files(session, self.place, size=1, only_dicom=only_dicom)
        return file


def found_at(request: Request, place: Place, by: Actor) -> Found:
    """What is at the address, and the look at it is on record.

    Raises NotFound where there is nothing, SharedStudyUid where there is something of more than one study.
    """
    with transaction() as session:
        holding = retrieval.holding(session, place)
        if len(holding.study_ids) == 1:
            viewing.look(session, study_id=holding.study_ids[0], by=by, via="dicomweb")
    if not holding.study_ids:
        raise NotFound("Nothing is stored at this address.")
    check_one_study(request, holding.study_ids)
    return Found(replace(place, study_id=holding.study_ids[0]), holding)


def dicom_at(request: Request, place: Place, by: Actor) -> Found:
    """As `found_at`; NotAcceptable where what is there was sent as PNG or JPEG."""
    found = found_at(request, place, by)
    if not found.holding.instances:
        raise NotAcceptable(
            "The image was sent as PNG or JPEG and is no DICOM instance. Ask for its `rendered` picture."
        )
    return found


@router.get("/studies/{study}", summary="Retrieve a study", **_STORED)
def get_study(request: Request, study: str, caller: _Reader) -> Response:
    """All instances of the study, as stored."""
    return _instances(request, place_in(request, study), caller)


@router.get(_SERIES, summary="Retrieve a series", **_STORED)
def get_series(request: Request, study: str, series: str, caller: _Reader) -> Response:
    """All instances of the series, as stored."""
    return _instances(request, place_in(request, study, series), caller)


@router.get(_INSTANCE, summary="Retrieve an instance", **_STORED)
def get_instance(request: Request, study: str, series: str, instance: str, caller: _Reader) -> Response:
    """The instance, as stored."""
    return _instances(request, place_in(request, study, series, instance), caller)


@router.get("/studies/{study}/metadata", summary="Metadata of a study", **_METADATA)
def get_study_metadata(request: Request, study: str, caller: _Reader) -> Response:
    """All that the instances' headers say."""
    return _metadata(request, place_in(request, study), caller)


@router.get(_SERIES + "/metadata", summary="Metadata of a series", **_METADATA)
def get_series_metadata(request: Request, study: str, series: str, caller: _Reader) -> Response:
    """All that the instances' headers say."""
    return _metadata(request, place_in(request, study, series), caller)


@router.get(_INSTANCE + "/metadata", summary="Metadata of an instance", **_METADATA)
def get_metadata(request: Request, study: str, series: str, instance: str, caller: _Reader) -> Response:
    """All that the instance's header says; pixel data stand as an address."""
    return _metadata(request, place_in(request, study, series, instance), caller)


@router.get(_INSTANCE + "/frames/{frames}", summary="Frames of an instance", **_FRAMES)
async def get_frames(
    request: Request, study: str, series: str, instance: str, frames: str, caller: _Reader
) -> Response:
    """Frames by number, separated by commas: as stored, or uncompressed where the caller asks for that."""
    numbers = _numbers(frames)
    file, path = await run_in_threadpool(
        _file_at, request, place_in(request, study, series, instance), caller
    )
    await run_in_threadpool(wado.check_frames, path, numbers)
    return await _frames(request, path, file, numbers, single=len(numbers) == 1)


@router.get(_INSTANCE + "/bulkdata/7FE00010", summary="Pixel data of an instance", **_FRAMES)
async def get_bulk_data(
    request: Request, study: str, series: str, instance: str, caller: _Reader
) -> Response:
    """What the BulkDataURI of the metadata leads to: every frame, as a part of its own."""
    file, path = await run_in_threadpool(
        _file_at, request, place_in(request, study, series, instance), caller
    )
    count = await run_in_threadpool(wado.count_frames, path)
    if count > MOST_FRAMES:
        raise NotAcceptable(f"The image has {count:,} frames. Ask for them by number.")
    return await _frames(request, path, file, list(range(1, count + 1)), single=False)


def _file_at(request: Request, place: Place, caller: Caller) -> tuple[StoredFile, Path]:
    file = dicom_at(request, place, caller.actor).first()
    return file, parts_of(request).blobs.path(file.sha256)


def _numbers(frames: str) -> list[int]:
    texts = frames.split(",")
    if len(texts) > 100 or not all(text.isascii() and text.isdecimal() and len(text) < 10 for text in texts):
        raise BadRequest("Name at most 100 frames by number, separated by commas: frames/1,2.")
    return [int(text) for text in texts]


def _instances(request: Request, place: Place, caller: Caller) -> Response:
    found = dicom_at(request, place, caller.actor)
    blobs, base = parts_of(request).blobs, base_url(request)
    stored = found.holding.transfer_syntaxes
    for accepted in accepted_by(request):
        if accepted.transfer_syntax not in (None, ANY_SYNTAX) and stored != {accepted.transfer_syntax}:
            continue
        if accepted.covers_parts(DICOM):
            parts = (
                Part(
                    f"{DICOM}; transfer-syntax={file.transfer_syntax_uid}",
                    _file(blobs.path(file.sha256)),
                    address_of(file, base, study_id=place.study_id),
                )
                for file in found.files()
            )
            return multipart(begun(parts), media_type=DICOM)
        if accepted.covers(DICOM) and place.instance is not None:
            return StreamingResponse(_file(blobs.path(found.first().sha256)), media_type=DICOM)
    raise not_acceptable(
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        *(f"transfer-syntax={syntax}" for syntax in sorted(map(str, stored))),
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
    found = dicom_at(request, place, caller.actor)
    blobs, base = parts_of(request).blobs, base_url(request)
    models = (
        wado.metadata(
            blobs.path(file.sha256),
            bulk_data_url=address_of(file, base, "/bulkdata/7FE00010", study_id=place.study_id),
        )
        for file in found.files()
    )
    return dataset_list(begun(models), form=form, media_type=media_type)


async def _frames(
    request: Request, path: Path, file: StoredFile, numbers: list[int], *, single: bool
) -> Response:
    """The frames in the first form that the caller accepts: as stored, else uncompressed."""
    syntax = file.transfer_syntax_uid or EXPLICIT_LITTLE_ENDIAN
    stored = frame_media_type(syntax)
    for accepted in accepted_by(request):
        wants = accepted.transfer_syntax
        uncompressed = stored == OCTETS
        if wants in (None, ANY_SYNTAX, EXPLICIT_LITTLE_ENDIAN if uncompressed else syntax):
            for media_type in dict.fromkeys((stored, OCTETS) if wants == ANY_SYNTAX else (stored,)):
                if accepted.covers_parts(media_type):
                    return await _multipart_frames(wado.frames(path, numbers), media_type)
                if single and accepted.covers(media_type):
                    [frame] = await run_in_threadpool(lambda: list(wado.frames(path, numbers)))
                    return Response(frame.data, media_type=media_type)
        if wants in (None, EXPLICIT_LITTLE_ENDIAN) and accepted.covers_parts(OCTETS):
            return await _multipart_frames(_decoded(request, path, file, numbers), OCTETS)
    raise not_acceptable(
        f'multipart/related; type="{stored}"; transfer-syntax={syntax}',
        f'multipart/related; type="{OCTETS}"; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}',
    )


def _decoded(request: Request, path: Path, file: StoredFile, numbers: list[int]) -> Iterator[Frame]:
    """The frames, each decoded when it is its turn; drawn in threads of the event loop."""
    parts = parts_of(request)
    for number in numbers:
        decode = partial(parts.decoders().native_frame, path, number)
        kept = from_thread.run(parts.pictures.picture, file.sha256, f"frame{number}", decode)
        yield Frame(kept.read_bytes(), EXPLICIT_LITTLE_ENDIAN, OCTETS)


async def _multipart_frames(frames: Iterator[Frame], media_type: str) -> Response:
    """The frames as parts; the first is there before the answer begins, the others as they are sent."""
    parts = (
        Part(f"{media_type}; transfer-syntax={frame.transfer_syntax}", (frame.data,)) for frame in frames
    )
    return multipart(await run_in_threadpool(begun, parts), media_type=media_type)
