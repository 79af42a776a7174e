"""Identity conflicts: two things that claim one identity, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.records import IdentityConflict, Image, Study


@dataclass(frozen=True, kw_only=True)
class SideShown:
    """One of the two: a study, and the image where the conflict is about images."""

    study_id: UUID
    patient_id: str
    issuer_of_patient_id: str
    patient_name: str | None
    arrived_at: datetime
    source: str
    image_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class ConflictShown:
    """A conflict; `resolution` is what an administrator decided, in words."""

    id: UUID
    kind: str
    uid: str
    found_at: datetime
    sides: tuple[SideShown, SideShown]
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


def conflicts(session: Session, *, resolved: bool = False, size: int = 100) -> tuple[ConflictShown, ...]:
    """The open ones, the oldest first; or those resolved last."""
    statement = select(IdentityConflict).limit(size)
    if resolved:
        statement = statement.where(IdentityConflict.resolved_at.is_not(None)).order_by(
            IdentityConflict.resolved_at.desc(), IdentityConflict.id
        )
    else:
        statement = statement.where(IdentityConflict.resolved_at.is_(None)).order_by(
            IdentityConflict.found_at, IdentityConflict.id
        )
    return tuple(_conflict(session, row) for row in session.scalars(statement).all())


def open_conflicts(session: Session) -> int:
    """How many wait for a decision."""
    return session.scalar(select(func.count()).where(IdentityConflict.resolved_at.is_(None))) or 0


def _conflict(session: Session, row: IdentityConflict) -> ConflictShown:
    return ConflictShown(
        id=row.id,
        kind=row.kind,
        uid=row.uid,
        found_at=row.found_at,
        sides=(
            _side(session, row.study_id, row.image_id),
            _side(session, row.other_study_id, row.other_image_id),
        ),
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by_name,
        resolution=row.resolution,
    )


def _side(session: Session, study_id: UUID, image_id: UUID | None) -> SideShown:
    study = session.get_one(Study, study_id)
    image = session.get(Image, image_id) if image_id else None
    return SideShown(
        study_id=study.id,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        patient_name=study.patient_name,
        arrived_at=image.arrived_at if image else study.arrived_at,
        source=image.source if image else study.source,
        image_id=image_id,
    )
