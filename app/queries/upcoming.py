"""The pictures of a study that nobody has opened yet."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records import Image


@dataclass(frozen=True)
class StoredPicture:
    """The bytes of an image, by their sha256."""

    sha256: str
    media_type: str


def pictures_of(session: Session, *, study_id: UUID | None, most: int = 8) -> tuple[StoredPicture, ...]:
    """Those of the study's standing images, as its page shows them, at most so many; none of no study."""
    if study_id is None:
        return ()
    rows = session.execute(
        select(Image.sha256, Image.media_type)
        .where(Image.study_id == study_id, Image.superseded_by.is_(None))
        .order_by(Image.arrived_at)
        .limit(most)
    )
    return tuple(StoredPicture(sha256, media_type) for sha256, media_type in rows)
