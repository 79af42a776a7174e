"""Leases of claimed studies: prolonged while their worker is at it, given back when it has to end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.commands import audit
from app.commands.ranking import announce
from app.commands.screening import StudyToScreen
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.records import Study
from app.records.base import now


def prolong(session: Session, *, studies: Sequence[StudyToScreen], lease: timedelta) -> int:
    """Leases that are still the caller's last `lease` from now; returns how many were."""
    prolonged = session.scalars(
        update(Study)
        .where(Study.screening_lease.in_([study.lease for study in studies]))
        .values(screening_lease_expires_at=now() + lease)
        .returning(Study.id),
    ).all()
    return len(prolonged)


def give_back(session: Session, *, studies: Sequence[StudyToScreen]) -> int:
    """Leases that are still the caller's are over and their attempts do not count; returns how many were."""
    rows = session.scalars(
        select(Study)
        .where(Study.screening_lease.in_([study.lease for study in studies]))
        .order_by(Study.id)
        .with_for_update(),
    ).all()
    for row in rows:
        row.screening_lease, row.screening_lease_expires_at = None, None
        row.screening_attempts = max(row.screening_attempts - 1, 0)
        if row.state == State.SCREENING.value:
            row.state = State.ADMITTED.value
        audit.record(
            session, action="study.screening-abandoned", by=SYSTEM, study_id=row.id, reason="worker ended"
        )
        announce(session, row)
    return len(rows)
