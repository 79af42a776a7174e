"""What a reader has filled in and not signed: asked by that reader alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.commands.superseding import superseded_by
from app.domain.marks import on_standing_images
from app.domain.roles import Actor
from app.errors import NotFound
from app.records import Draft, Study


@dataclass(frozen=True, kw_only=True)
class DraftKept:
    """Their own words, and whether the study is still the one they were written of."""

    findings: dict[str, str]
    comment: str
    marks: list[dict[str, Any]]
    """Each on the image that stands, also where it was drawn before another header came."""
    kept_at: datetime
    moved: bool
    """The study has changed since."""


def of_reader(session: Session, *, study_id: UUID, reader: Actor) -> DraftKept | None:
    """What the reader has kept of the study; NotFound where there is no such study."""
    theirs = and_(Draft.study_id == Study.id, Draft.user_id == reader.id)
    found = session.execute(
        select(Study.revision, Draft).outerjoin(Draft, theirs).where(Study.id == study_id)
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such study.")
    revision, draft = found
    if draft is None or reader.kind != "user":
        return None
    return DraftKept(
        findings=draft.findings,
        comment=draft.comment,
        marks=on_standing_images(draft.marks, superseded_by(session, [study_id])),
        kept_at=draft.kept_at,
        moved=draft.revision != revision,
    )
