"""The DICOM listener: where it says that it listens, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from app import queue
from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.settings import Settings

PART = "dimse"


@dataclass(frozen=True, kw_only=True)
class ListeningPlace:
    """Where a DICOM listener listens, and whom it lets in."""

    title: str
    host: str
    port: str
    tls: str
    """`yes` or nothing."""
    echoed: str
    """`yes`, or nothing where it has only answered the beginning of TLS."""
    senders: str
    """As in FIRSTREAD_DIMSE_ALLOW."""

    def facts(self) -> dict[str, str]:
        """As the listener reports it over the broker."""
        return {"part": PART, **asdict(self)}


def listening_place() -> ListeningPlace | None:
    """Where one has answered its own process within 15 seconds; it reports at no other time."""
    for facts in queue.workers().values():
        if facts.get("part") == PART:
            return _place(facts)
    return None


def _place(facts: Mapping[str, str]) -> ListeningPlace:
    names = ListeningPlace.__dataclass_fields__
    return ListeningPlace(**{name: facts.get(name, "") for name in names})


def dicom_listener(configured: Settings) -> str:
    """It answers C-ECHO, or where that takes a certificate, the beginning of TLS."""
    place = listening_place()
    if place is not None:
        title, host, port = place.title, place.host, place.port
        if not place.echoed:
            return sentence(f"{title} listens at {host}, port {port}.")
        return sentence(f"{title} answers C-ECHO at {host}, port {port}.")
    if not configured.dimse:
        return sentence("It is switched off (FIRSTREAD_DIMSE).")
    raise Wrong(
        sentence(
            "The DICOM listener has not answered a C-ECHO for 15 seconds, and no image is taken by C-STORE."
            " Set FIRSTREAD_DIMSE=false where there is to be none. Otherwise see its log, or start one with"
            " firstread dimse."
        )
    )
