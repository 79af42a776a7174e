"""The rows a reading is made of."""

from __future__ import annotations

from uuid import UUID

from app.domain.reading import ImageRead
from app.records import ImageReading


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
