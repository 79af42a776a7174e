"""Which image replaced which: loaded apart from what reads headers, which a duty worker has no need of."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records import Image


def superseded_by(session: Session, studies: Collection[UUID]) -> dict[str, str]:
    """Of each image of the studies that came again with another header, what replaced it; both by id."""
    replaced = select(Image.id, Image.superseded_by).where(
        Image.study_id.in_(studies), Image.superseded_by.is_not(None)
    )
    return {str(old): str(new) for old, new in session.execute(replaced)}
