"""Where results are sent, and what has become of each message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.records import Delivery, Destination, ImageReading


@dataclass(frozen=True, kw_only=True)
class DestinationShown:
    """A destination; its secret is shown once, when it is made."""

    id: UUID
    name: str
    url: str
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None


@dataclass(frozen=True, kw_only=True)
class DeliveryShown:
    """One message; its payload holds patient data and is not shown."""

    id: UUID
    destination: str
    study_id: UUID
    event: str
    state: str
    attempts: int
    created_at: datetime
    not_before: datetime
    delivered_at: datetime | None
    last_error: str | None


def images_told_of(session: Session, reading_id: UUID) -> list[UUID]:
    """The images that a reading, which is delivered, was made of."""
    return list(
        session.scalars(select(ImageReading.image_id).where(ImageReading.reading_id == reading_id)),
    )


def destinations(session: Session) -> tuple[DestinationShown, ...]:
    """All of them, disabled or not, by name."""
    return tuple(
        DestinationShown(
            id=row.id,
            name=row.name,
            url=row.url,
            created_at=row.created_at,
            created_by=row.created_by_name,
            disabled_at=row.disabled_at,
            disabled_by=row.disabled_by_name,
        )
        for row in session.scalars(select(Destination).order_by(Destination.name))
    )


def deliveries(
    session: Session, *, state: str | None = None, before: UUID | None = None, size: int = 50
) -> tuple[DeliveryShown, ...]:
    """The newest `size` messages in that state and older than `before`; NotFound for an unknown one."""
    statement = (
        select(Delivery, Destination.name)
        .join(Destination, Destination.id == Delivery.destination_id)
        .order_by(Delivery.created_at.desc(), Delivery.id.desc())
        .limit(size)
    )
    if state is not None:
        statement = statement.where(Delivery.state == state)
    if before is not None:
        edge = session.get(Delivery, before)
        if edge is None:
            raise NotFound("There is no such delivery to continue from.")
        statement = statement.where(
            (Delivery.created_at < edge.created_at)
            | ((Delivery.created_at == edge.created_at) & (Delivery.id < edge.id)),
        )
    return tuple(
        DeliveryShown(
            id=row.id,
            destination=name,
            study_id=row.study_id,
            event=row.event,
            state=row.state,
            attempts=row.attempts,
            created_at=row.created_at,
            not_before=row.not_before,
            delivered_at=row.delivered_at,
            last_error=row.last_error,
        )
        for row, name in session.execute(statement)
    )
