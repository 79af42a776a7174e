"""What the layers see, for administrators: how a look is asked for, and what its parts are called."""

from __future__ import annotations

from uuid import UUID

from app import looks
from app.blobs import Blobs, StagedFile
from app.commands import looking
from app.dicom.header import read_header
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.looks import Look
from app.records.engine import transaction

SENTENCES = {
    "early": sentence(
        "The first layers look at a few neighbouring pixels and answer to edges and steps of brightness: "
        "ribs, the rim of the heart, tubes, letters."
    ),
    "middle": sentence(
        "The middle layers put edges together to textures and shapes: each cell stands for a patch of the "
        "chest and answers to a pattern in it."
    ),
    "late": sentence(
        "The last layers see most of the chest in every cell, so their pictures are coarse. How strongly "
        "each detector answers is all that the network has to add up its finding from."
    ),
}
"""One for each depth, for somebody who has never seen the inside of a network."""
ADDED_UP = sentence(
    "Every late detector counts for or against the finding, always with the same weight. Added up place by "
    "place they give this map; its sum, and one number that is the same for all images, make the score that "
    "becomes the probability."
)


def ask_of_image(image_id: UUID, *, by: Actor) -> UUID:
    """A worker will look; the view is on record. Raises NotFound, TooManyRequests, Unavailable."""
    with transaction() as session:
        stored = looking.of_image(session, image_id=image_id, by=by)
    return looks.ask(
        by=by.id,
        media_type=stored.media_type,
        about=sentence("an image of a study"),
        sha256=stored.sha256,
        study_id=stored.study_id,
        image_id=stored.image_id,
    )


def find(look_id: UUID, *, by: Actor) -> Look:
    """As `looks.find`, while the image is there."""
    look = looks.find(look_id, by=by.id)
    if look.question.image_id is not None:
        with transaction() as session:
            looking.check_there(session, image_id=UUID(look.question.image_id))
    return look


def ask_of_file(staged: StagedFile, *, blobs: Blobs, by: Actor) -> UUID:
    """A worker will look at bytes that are never kept; otherwise as `ask_of_image`.

    Raises NotAnImage, Unreadable or TooLarge for what is no radiograph.
    """
    media_type = read_header(staged.path).media_type
    with transaction() as session:
        looking.of_file(session, sha256=staged.sha256, by=by)
    name = blobs.lend(staged)
    try:
        return looks.ask(by=by.id, media_type=media_type, about=sentence("a file that was sent"), lent=name)
    except BaseException:
        blobs.give_back(name)
        raise


def try_on_file(staged: StagedFile, *, candidate: str, blobs: Blobs, by: Actor) -> UUID:
    """A worker asks the candidate and the bundle that reads now about bytes that are never kept; as
    `ask_of_file`, and NotFound without such a bundle.
    """
    media_type = read_header(staged.path).media_type
    with transaction() as session:
        looking.tried(session, sha256=staged.sha256, candidate=candidate, by=by)
    name = blobs.lend(staged)
    try:
        return looks.ask(
            by=by.id,
            media_type=media_type,
            about=sentence("a file that was sent"),
            lent=name,
            candidate=candidate,
        )
    except BaseException:
        blobs.give_back(name)
        raise
