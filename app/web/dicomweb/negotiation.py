"""What a caller accepts (RFC 9110 12.5.1, PS3.18 8.7), and which of our representations that is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from app.errors import BadRequest, NotAcceptable

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
OCTETS = "application/octet-stream"
ANY_SYNTAX = "*"

_LONGEST = 4096
_RANGE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r';\s*([A-Za-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


@dataclass(frozen=True)
class Accepted:
    """One media range of an Accept header; `part` is the type of the parts of a multipart/related."""

    media_type: str
    part: str | None
    transfer_syntax: str | None
    quality: float

    def covers(self, media_type: str) -> bool:
        """True where the range takes a body of that type."""
        kind = media_type.partition("/")[0]
        return self.media_type in (media_type, f"{kind}/*", "*/*")

    def covers_parts(self, media_type: str) -> bool:
        """True where the range takes a multipart/related of parts of that type."""
        if self.media_type == "*/*":
            return True
        kind = media_type.partition("/")[0]
        return self.media_type == "multipart/related" and self.part in (media_type, f"{kind}/*", "*/*", None)


def accepted_by(request: Request) -> list[Accepted]:
    """The ranges the caller accepts, the most wanted first; everything where it does not say.

    The query parameter `accept` stands before the header (PS3.18 8.3.3.1).
    """
    header = request.query_params.get("accept") or ", ".join(request.headers.getlist("accept")) or "*/*"
    if len(header) > _LONGEST:
        raise BadRequest("The Accept header is too long.")
    ranges = [accepted for accepted in _parse(header) if accepted.quality > 0]
    return sorted(ranges, key=lambda accepted: -accepted.quality)


def _parse(header: str) -> Iterator[Accepted]:
    for text in _RANGE.findall(header):
        media_type, _, rest = text.partition(";")
        if not media_type.strip():
            continue
        parameters = {
            name.lower(): value.strip().strip('"') for name, value in _PARAMETER.findall(f";{rest}")
        }
        try:
            quality = min(max(float(parameters.get("q", "1")), 0.0), 1.0)
        except ValueError:
            quality = 1.0
        part = parameters.get("type")
        yield Accepted(
            media_type.strip().lower(),
            part.lower() if part else None,
            parameters.get("transfer-syntax"),
            quality if quality == quality else 0.0,  # noqa: PLR0124  (NaN)
        )


Form = Literal["json", "xml"]


def dataset_form(request: Request) -> tuple[Form, str]:
    """JSON or XML for datasets, and the media type to say so; JSON where both will do."""
    for accepted in accepted_by(request):
        if accepted.covers(DICOM_JSON):
            return "json", DICOM_JSON
        if accepted.media_type == "application/json":
            return "json", "application/json"
        if accepted.media_type in (DICOM_XML, "application/xml", "text/xml"):
            return "xml", DICOM_XML
        if accepted.media_type == "multipart/related" and accepted.part in (DICOM_XML, "application/xml"):
            return "xml", DICOM_XML
    raise NotAcceptable(f"This is answered as {DICOM_JSON} or {DICOM_XML}.")


def not_acceptable(*media_types: str) -> NotAcceptable:
    """The problem that lists what there is instead."""
    return NotAcceptable(
        f"This can be had as {', '.join(media_types)}, and the Accept header takes none of them."
    )
