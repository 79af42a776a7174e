"""A kind of job for tests: its child counts, and does on the way what the order says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import audit
from app.domain.roles import SYSTEM
from app.errors import Conflict
from worker.learning.child import BrokeOff, Refused, Report, Tell

ORDER: dict[str, Any] = {}
"""What the next child is told."""


def order(session: Session, *, blobs: Blobs, subject_id: UUID, folder: Path) -> dict[str, Any]:
    if ORDER.get("refused beforehand"):
        raise Conflict("There is nothing to count.")
    return {"count": 3, **ORDER}


def record(session: Session, *, blobs: Blobs, subject_id: UUID, answer: dict[str, Any]) -> None:
    blobs.put(b"counted")
    audit.record(session, action="test.counted", by=SYSTEM, subject_id=subject_id, sum=answer["sum"])


def give_up(session: Session, *, subject_id: UUID, state: str, said: str) -> None:
    audit.record(session, action="test.given-up", by=SYSTEM, subject_id=subject_id, state=state, said=said)


def run(order: dict[str, Any], *, report: Report, tell: Tell) -> dict[str, Any]:
    folder = Path(order["folder"])
    if order.get("too few"):
        raise Refused("Nothing to count was given.")
    if order.get("full"):
        raise OSError(28, "No space left on device")
    if order.get("killed at attempts", 0) >= order["attempt"]:
        (folder / "kept").write_text("from before")
        os.kill(os.getpid(), signal.SIGKILL)
    if order.get("silent at attempts", 0) >= order["attempt"]:
        time.sleep(600)
    if order.get("broken off at attempts", 0) >= order["attempt"]:
        raise BrokeOff("One who counted along went away.")
    for number in range(order["count"]):
        report("Counting", number + 1, order["count"])
        tell(number=number)
        time.sleep(order.get("pause", 0.0))
    kept = folder / "kept"
    return {"sum": sum(range(order["count"])), "kept": kept.exists() and kept.read_text()}
