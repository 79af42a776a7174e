"""The rows a reading is made of, and whether it left an image unread."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.domain.reading import ImageRead
from app.records import Image, ImageReading, Study


def all_read(session: Session, row: Study, images: list[ImageRead]) -> bool:
    """True where no image of the study waits; one that failed or was withheld has had its reading."""
    return not session.scalar(
        select(
            exists().where(
                Image.study_id == row.id,
                Image.superseded_by.is_(None),
                Image.id.not_in([image.image_id for image in images]),
            )
        )
    )


def image_reading(reading_id: UUID, image: ImageRead) -> ImageReading:
    """What is stored of one image's reading."""
    return ImageReading(
        reading_id=reading_id,
        image_id=image.image_id,
        outcome=image.outcome.value,
        reason=image.reason,
        findings={
            name: finding.as_json()
            | {"logit": image.logits.get(name), "activation_map": image.activation_maps.get(name)}
            for name, finding in image.findings.items()
        },
        notices=list(image.notices),
        embedding=image.embedding,
    )
