"""Header revisions: the same picture sent with another header, and sent back to one it had before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import identity
from app.commands.stored_header import header_as_json
from app.dicom.header import ImageHeader, pixel_sha256
from app.domain.order import Credits, Priority
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.errors import Problem
from app.records import Image, Study

SHOWN_AGAIN = sentence("This header of the picture had been replaced by another; it is now shown again.")
NOT_TAKEN_OVER = sentence(
    "The same picture was admitted before; what is said of its patient now was not taken over."
)
_WHO_AND_WHAT = {
    "patient_name": sentence("the patient's name"),
    "patient_birth_date": sentence("the date of birth"),
    "patient_sex": sentence("the sex"),
    "image_laterality": sentence("the laterality"),
    "view_position": sentence("the view"),
    "patient_orientation": sentence("the orientation"),
}
"""What a signature relied on: whom the picture shows, and from which side. PatientID makes another study."""


def same_picture(blobs: Blobs, siblings: Sequence[Image], path: Path) -> list[Image]:
    """Those of the images whose pixels, as encoded, are those of the file at `path`, in whatever study.

    Pixels are compared only here, where two files have one SOPInstanceUID: hashing those of every image that
    arrives would take a tenth of the time of its admission. Bytes that cannot be read any more are another
    picture, so that an administrator sees both.
    """
    if not siblings:
        return []
    arrived = pixel_sha256(path)
    return [sibling for sibling in siblings if _stored_pixels(blobs, sibling) == arrived]


def _stored_pixels(blobs: Blobs, image: Image) -> str | None:
    try:
        return pixel_sha256(blobs.path(image.sha256))
    except (Problem, OSError):
        return None


def revision_of(revised: Sequence[Image], header: ImageHeader) -> tuple[str, ...] | None:
    """What of patient, side or view the header changes in images of the same picture, in words; None where
    there is no such image.
    """
    if not revised:
        return None
    said = header_as_json(header)
    return tuple(
        words
        for name, words in _WHO_AND_WHAT.items()
        if said[name] is not None and any(image.header.get(name) != said[name] for image in revised)
    )


def restore(
    session: Session,
    *,
    image: Image,
    study: Study,
    header: ImageHeader,
    asked: Priority,
    purpose: str,
    by: Actor,
    credits: Credits,
) -> bool:
    """Bytes that another header had replaced stand again; False, and nothing changes, where they stand."""
    if image.superseded_by is None:
        return False
    session.refresh(study, with_for_update=True)
    session.refresh(image)
    standing = image
    while standing.superseded_by is not None:
        standing = session.get_one(Image, standing.superseded_by, populate_existing=True)
    if standing is image:  # somebody else was quicker
        return False
    revised = revision_of([standing], header)
    image.superseded_by, standing.superseded_by = None, image.id
    identity.revise(study, header)
    identity.late_image(
        session, study, header, revised=revised, asked=asked, purpose=purpose, by=by, credits=credits
    )
    return True
