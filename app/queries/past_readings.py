"""Readings as they were made: what went in, what came out, and with what, so that they can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.screening import ImageToScreen
from app.commands.stored_header import header_from_json
from app.errors import NotFound, Unprocessable
from app.records import Image, ImageReading, Reading, Study


@dataclass(frozen=True, kw_only=True)
class PastImage:
    """One image of a reading and what was said of it."""

    image: ImageToScreen
    outcome: str
    reason: str | None
    findings: dict[str, Any]
    """`{finding: {probability, present, lane, logit, activation_map, ...}}`."""


@dataclass(frozen=True, kw_only=True)
class PastReading:
    """One reading, with its images in the order of their arrival."""

    id: UUID
    study_id: UUID
    bundle_sha256: str
    runtime: str
    made_with: dict[str, Any] | None
    read_at: datetime
    outcome: str
    images: tuple[PastImage, ...]


def reading_of(session: Session, *, id_: UUID) -> UUID:
    """The reading of this id, or the one that stands of the study of this id.

    Raises NotFound, and Unprocessable for one that no network made.
    """
    row = session.get(Reading, id_)
    if row is None:
        if session.get(Study, id_) is None:
            raise NotFound("There is no such reading and no such study.")
        row = session.scalars(
            select(Reading).where(Reading.study_id == id_).order_by(Reading.sequence.desc()).limit(1)
        ).one_or_none()
        if row is None:
            raise Unprocessable("The study has not been read; there is nothing to reproduce.")
    if row.bundle_sha256 is None:
        raise Unprocessable("No network made this reading; there is nothing to reproduce.")
    return row.id


def readings_since(session: Session, *, since: datetime) -> list[UUID]:
    """Those that a network made from then on, the oldest first."""
    return list(
        session.scalars(
            select(Reading.id)
            .where(Reading.read_at >= since, Reading.bundle_sha256.is_not(None))
            .order_by(Reading.read_at, Reading.sequence)
        )
    )


def past_reading(session: Session, *, reading_id: UUID) -> PastReading:
    """Raises NotFound where there is none that a network made."""
    row = session.get(Reading, reading_id)
    if row is None or row.bundle_sha256 is None:
        raise NotFound("There is no such reading and no such study.")
    images = session.execute(
        select(ImageReading, Image)
        .join(Image, Image.id == ImageReading.image_id)
        .where(ImageReading.reading_id == row.id)
        .order_by(Image.arrived_at, Image.id)
    ).all()
    return PastReading(
        id=row.id,
        study_id=row.study_id,
        bundle_sha256=row.bundle_sha256,
        runtime=row.runtime or "",
        made_with=row.made_with,
        read_at=row.read_at,
        outcome=row.outcome,
        images=tuple(
            PastImage(
                image=ImageToScreen(
                    image_id=image.id,
                    sha256=image.sha256,
                    media_type=image.media_type,
                    header=header_from_json(image.header),
                    source=image.source,
                    has_preview=True,
                    due_since=image.arrived_at,
                ),
                outcome=said.outcome,
                reason=said.reason,
                findings=said.findings,
            )
            for said, image in images
        ),
    )
