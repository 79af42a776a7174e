"""Datasets and their parts as bodies: DICOM JSON, native XML, multipart/related."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar
from uuid import uuid4

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from app.dicom.dicom_xml import native_xml
from app.settings import settings
from app.web.dicomweb.negotiation import DICOM_XML, Form

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Part:
    """One part of a multipart/related; `chunks` are its bytes."""

    media_type: str
    chunks: Iterable[bytes]
    location: str | None = None


def base_url(request: Request) -> str:
    """Where this service is reached, for addresses in answers: as configured, or as it was reached now."""
    root = settings().public_url or str(request.base_url)
    return root.rstrip("/") + "/dicomweb"


def dataset_list(
    models: Iterable[dict[str, Any]], *, form: Form, media_type: str, headers: dict[str, str] | None = None
) -> StreamingResponse:
    """A list of datasets: one JSON array, or a multipart/related of XML documents.

    The models are drawn as they are sent, one at a time, so that none is held but the one on its way.
    """
    if form == "json":
        return StreamingResponse(_json_array(models), media_type=media_type, headers=headers)
    parts = (Part(DICOM_XML, (native_xml(model),)) for model in models)
    return multipart(parts, media_type=DICOM_XML, headers=headers)


def begun(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, the first of them made already: what breaks at once is still answered as a problem."""
    drawn = iter(items)
    first = list(islice(drawn, 1))
    return chain(first, drawn)


def one_dataset(model: dict[str, Any], *, form: Form, media_type: str, status: int) -> Response:
    """One dataset, as STOW-RS answers with."""
    body = json.dumps(model).encode() if form == "json" else native_xml(model)
    return Response(body, status_code=status, media_type=media_type)


def multipart(
    parts: Iterable[Part], *, media_type: str, headers: dict[str, str] | None = None
) -> StreamingResponse:
    """The parts, one after the other, as they are read."""
    boundary = uuid4().hex
    kind = f'multipart/related; type="{media_type}"; boundary={boundary}'
    return StreamingResponse(_written(parts, boundary), media_type=kind, headers=headers)


def _json_array(models: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    opening = b"["
    for model in models:
        yield opening + json.dumps(model).encode()
        opening = b","
    yield b"]" if opening == b"," else b"[]"


def _written(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        location = f"\r\nContent-Location: {part.location}" if part.location else ""
        yield f"--{boundary}\r\nContent-Type: {part.media_type}{location}\r\n\r\n".encode()
        yield from part.chunks
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
