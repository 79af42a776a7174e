"""Audit events and their seals, for tests."""

from __future__ import annotations

import time

from app.commands import audit, audit_seals
from app.commands.audit_seals import Head
from app.domain.roles import SYSTEM
from app.records.engine import transaction


def record_events(count: int) -> None:
    """So many events of the service itself, in one transaction."""
    with transaction() as session:
        for number in range(count):
            audit.record(session, action="study.screening", by=SYSTEM, number=number)
            session.flush()


def seal_all(*, patience: float = 10.0, up_to: int | None = None) -> list[Head]:
    """The seals of what had been written, once it has settled; none where that takes longer."""
    with transaction() as session:
        mark = audit_seals.watermark(session)
    ends = time.monotonic() + patience
    while True:
        with transaction() as session:
            if audit_seals.has_settled(session, mark):
                break
        if time.monotonic() > ends:
            return []
        time.sleep(0.005)
    heads = []
    while True:
        with transaction() as session:
            head = audit_seals.seal_next(session, up_to=mark.id if up_to is None else up_to)
        if head is None:
            return heads
        heads.append(head)
