"""The newest images, to choose one from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.blinding import hidden_from
from app.domain.roles import Actor
from app.records import Image, Study


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image and the study it belongs to, without the patient."""

    image_id: UUID
    study_id: UUID
    study_description: str | None
    view_position: str | None
    age_years: float | None
    lane: str | None
    blind: bool
    """The network's opinion is hidden from whoever asked, and so is what its layers see."""
    is_sample: bool
    arrived_at: datetime


def newest_images(session: Session, *, study_id: UUID | None, size: int, to: Actor) -> tuple[NewImage, ...]:
    """The standing images of the study, or of the newest studies, the newest first."""
    newest = select(Study.id).order_by(Study.arrived_at.desc()).limit(size)
    of_study = Study.id.in_(newest) if study_id is None else Study.id == study_id
    rows = session.execute(
        select(Image, Study, hidden_from(session, to).label("hidden"))
        .join(Study, Study.id == Image.study_id)
        .where(of_study, Image.superseded_by.is_(None))
        .order_by(Study.arrived_at.desc(), Image.arrived_at.desc(), Image.id)
        .limit(size)
    )
    return tuple(
        NewImage(
            image_id=image.id,
            study_id=study.id,
            study_description=study.study_description,
            view_position=image.view_position,
            age_years=study.age_years,
            lane=None if hidden else study.lane,
            blind=hidden,
            is_sample=study.is_sample,
            arrived_at=image.arrived_at,
        )
        for image, study, hidden in rows
    )
