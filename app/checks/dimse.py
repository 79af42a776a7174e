"""The check of the DICOM listener."""

from __future__ import annotations

from app import queue
from app.checks.wrong import Wrong
from app.domain.sentence import sentence
from app.settings import Settings

PART = "dimse"


def dicom_listener(configured: Settings) -> str:
    """It has answered a C-ECHO of its own within 15 seconds; it reports no other time."""
    listeners = [facts for facts in queue.workers().values() if facts.get("part") == PART]
    if listeners:
        title, host, port = (listeners[0].get(fact, "") for fact in ("title", "host", "port"))
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
