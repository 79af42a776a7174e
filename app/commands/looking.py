"""Look inside: an administrator has the network's layers shown for an image, which is on record."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import audit, blinding, registry, viewing
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


def check_there(session: Session, *, image_id: UUID) -> None:
    """Raises NotFound where the image was deleted: what was made of it lies with the broker for minutes."""
    if session.get(Image, image_id) is None:
        raise NotFound("The image was deleted meanwhile.")


def of_file(session: Session, *, sha256: str, by: Actor) -> None:
    """A file that was sent is on record by the sha256 of its bytes.

    Raises Conflict as `_check_not_hidden`.
    """
    _check_not_hidden(session, sha256=sha256, by=by)
    audit.record(session, action=LOOKED_INSIDE, by=by, subject_id=sha256, via="upload")


def tried(session: Session, *, sha256: str, candidate: str, by: Actor) -> None:
    """A file that was sent is shown to a candidate. Raises NotFound without such a bundle, Conflict as
    `_check_not_hidden`.
    """
    if not registry.is_known(session, sha256=candidate):
        raise NotFound("There is no such bundle.")
    _check_not_hidden(session, sha256=sha256, by=by)
    audit.record(session, action="network.tried", by=by, subject_id=candidate, image=sha256)


def _check_not_hidden(session: Session, *, sha256: str, by: Actor) -> None:
    """Raises Conflict where the bytes are an image of a study whose opinion is hidden from them."""
    study_id = session.scalar(select(Image.study_id).where(Image.sha256 == sha256))
    if study_id is not None:
        blinding.check_may_see(session, study_id=study_id, who=by)
