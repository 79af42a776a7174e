"""A study as it is shown to whoever must not know yet what the network said, or what another reader said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.commands.blinding import harmless
from app.queries.history import Happening, ReviewShown

if TYPE_CHECKING:
    from app.queries.studies import ImageShown, ReadingShown, StudyShown


def without_opinion(shown: StudyShown) -> StudyShown:
    """The study without lane, probabilities, urgency, maps, telling notices, and what compares a verdict with
    them; its entry is without them already. That it was read, and why an image was not, stays.
    """
    findings = shown.reading.findings if shown.reading else {}
    return replace(
        shown,
        reading=_reading(shown.reading, findings) if shown.reading else None,
        images=tuple(_image(image, findings) for image in shown.images),
        reviews=tuple(_review(review) for review in shown.reviews),
        history=tuple(_happening(line) for line in shown.history),
    )


def without_verdicts_of_others(shown: StudyShown, *, reader: UUID | None) -> StudyShown:
    """The study without what others signed: for a colleague whose own opinion is asked first."""
    return replace(
        shown,
        reviews=tuple(review for review in shown.reviews if review.reviewer_id == reader),
        history=tuple(
            line for line in shown.history if line.review is None or line.review.reviewer_id == reader
        ),
        verdicts_hidden=True,
    )


def _reading(reading: ReadingShown, findings: Mapping[str, Any]) -> ReadingShown:
    return replace(
        reading,
        lane=None,
        urgency=None,
        findings={},
        notices=tuple(harmless(reading.notices, findings)),
        map_withheld=None,
        occlusion_map_withheld=None,
    )


def _image(image: ImageShown, findings: Mapping[str, Any]) -> ImageShown:
    return replace(image, findings={}, notices=tuple(harmless(image.notices, findings)))


def _review(review: ReviewShown) -> ReviewShown:
    return replace(review, verdict=None, network_findings={}, blind=None)


def _happening(line: Happening) -> Happening:
    return replace(line, review=_review(line.review)) if line.review else line
