"""What the lines need that tell how to send a first study."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from app import queue
from app.checks.dimse import ListeningPlace, listening_place
from app.domain.callers import ANY
from app.settings import settings

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104, compared, not bound


@dataclass(frozen=True)
class DicomSending:
    """How `storescu` sends to this service; `line` is None while no listener answers."""

    line: str | None
    senders: str
    wanted: bool
    """Whether the site wants a listener."""


def sending_facts(request: Request) -> dict[str, Any]:
    """For `sending_lines.html`; asks the broker, so only where the lines are shown."""
    place = None if queue.is_silent() else listening_place()
    return {
        "server": server_of(request),
        "dicom": DicomSending(
            line=None if place is None else _line(place, request),
            senders="" if place is None else place.senders.replace(",", ", "),
            wanted=settings().dimse,
        ),
    }


def server_of(request: Request) -> str:
    """Where users reach the service."""
    return (settings().public_url or str(request.base_url)).rstrip("/")


def _line(place: ListeningPlace, request: Request) -> str:
    host = request.url.hostname or "localhost" if place.host in _EVERYWHERE else place.host
    first = place.senders.partition("@")[0]
    words = ["storescu", *([] if first in (ANY, "") else ["-aet", first])]
    if place.tls:
        words += ["+tls", "key.pem", "certificate.pem", "+cf", "authority.pem"]
    return shlex.join([*words, "-aec", place.title, host, place.port, "chest.dcm"])
