"""Which image replaced which: loaded apart from what reads headers, which a duty worker has no need of."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, literal, select
from sqlalchemy.orm import Session

from app.records import Image


def superseded_by(session: Session, studies: Collection[UUID]) -> dict[str, str]:
    """Of each image of the studies that came again with another header, what replaced it; both by id."""
    of_them = Image.study_id == any_(literal(list(studies), ARRAY(Uuid)))
    replaced = select(Image.id, Image.superseded_by).where(of_them, Image.superseded_by.is_not(None))
    return {str(old): str(new) for old, new in session.execute(replaced)}
