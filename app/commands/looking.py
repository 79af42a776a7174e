"""Look inside: an administrator has the network's layers shown for an image, which is on record."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.commands import audit, blinding, viewing
from app.domain.roles import Actor
from app.errors import NotFound
from app.records import Image

LOOKED_INSIDE = "network.looked-inside"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A stored image that is to be looked at."""

    study_id: UUID
    image_id: UUID
    sha256: str
    media_type: str


def of_image(session: Session, *, image_id: UUID, by: Actor) -> Stored:
    """The image; that it was shown is a view of its study.

    Raises NotFound where there is no such image, Conflict where its reader must not know the opinion yet.
    """
    image = session.get(Image, image_id)
    if image is None:
        raise NotFound("There is no such image.")
    blinding.check_may_see(session, study_id=image.study_id, who=by)
    audit.record(session, action=LOOKED_INSIDE, by=by, study_id=image.study_id, subject_id=image.id)
    viewing.look(session, study_id=image.study_id, by=by, via="layers")
    return Stored(
        study_id=image.study_id, image_id=image.id, sha256=image.sha256, media_type=image.media_type
    )


def of_file(session: Session, *, sha256: str, by: Actor) -> None:
    """A file that belongs to no study is on record by the sha256 of its bytes."""
    audit.record(session, action=LOOKED_INSIDE, by=by, subject_id=sha256, via="upload")
