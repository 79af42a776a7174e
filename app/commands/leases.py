"""Leases of claimed studies: prolonged while a worker is at it, given back when it ends, expired when silent.

`held` is lease by study id throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import collate, or_, select, update
from sqlalchemy.orm import Session

from app.commands import audit
from app.commands.ranking import announce
from app.domain.roles import SYSTEM
from app.domain.states import State
from app.records import Study
from app.records.base import now


def locked(session: Session, held: Mapping[UUID, UUID]) -> dict[UUID, Study]:
    """Those of the studies whose leases still stand, locked until the commit.

    They are locked in the order of their UIDs, in which intake locks them too: so a worker that records
    several studies and a sender of their late images never wait in a circle.
    """
    rows = session.scalars(
        select(Study)
        .where(Study.id.in_(held))
        .order_by(collate(Study.study_instance_uid, "C"), Study.id)
        .with_for_update()
    )
    return {row.id: row for row in rows if row.screening_lease == held[row.id]}


def prolong(session: Session, *, held: Mapping[UUID, UUID], lease: timedelta) -> int:
    """Those of the leases that still stand last `lease` from now; returns how many.

    A study that somebody changes at this moment is left out: it may just be recorded.
    """
    standing = (
        select(Study.id)
        .where(Study.id.in_(held), Study.screening_lease.in_(held.values()))
        .with_for_update(skip_locked=True)
    )
    prolonged = session.scalars(
        update(Study)
        .where(Study.id.in_(standing))
        .values(screening_lease_expires_at=now() + lease)
        .returning(Study.id),
    ).all()
    return len(prolonged)


def give_back(session: Session, *, held: Mapping[UUID, UUID]) -> int:
    """Those of the leases that still stand are over, and their attempts do not count; returns how many."""
    rows = locked(session, held)
    for row in rows.values():
        free(row)
        row.screening_attempts = max(row.screening_attempts - 1, 0)
        audit.record(
            session, action="study.screening-abandoned", by=SYSTEM, study_id=row.id, reason="worker ended"
        )
    if rows:
        announce(session, *rows.values())
    return len(rows)


def expire_leases(session: Session) -> list[UUID]:
    """Studies whose worker went silent are free again; returns their ids."""
    rows = session.scalars(
        select(Study)
        .where(Study.screening_due, Study.screening_lease_expires_at <= now())
        .with_for_update(skip_locked=True),
    ).all()
    for row in rows:
        free(row)
        audit.record(
            session, action="study.screening-abandoned", by=SYSTEM, study_id=row.id, reason="lease expired"
        )
    return [row.id for row in rows]


def due(session: Session, *, limit: int = 1000) -> list[UUID]:
    """Studies that wait for a worker and have no live lease: the ones to ring for."""
    moment = now()
    return list(
        session.scalars(
            select(Study.id)
            .where(
                Study.screening_due,
                Study.screening_lease.is_(None),
                or_(Study.screening_not_before.is_(None), Study.screening_not_before <= moment),
            )
            .order_by(Study.rank_at)
            .limit(limit),
        ),
    )


def free(row: Study) -> None:
    """The study is nobody's, and waits for a worker again."""
    row.screening_lease, row.screening_lease_expires_at = None, None
    if row.state == State.SCREENING.value:
        row.state = State.ADMITTED.value
