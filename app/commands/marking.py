"""What a mark on an image must be to be stored with a review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.superseding import superseded_by
from app.domain.marks import MOST_MARKS, Mark
from app.domain.sentence import sentence
from app.domain.superseding import as_it_is_now
from app.errors import Unprocessable
from app.records import Image

_ROUNDING = 1e-6
"""Pixels by which the sum of two decimal fractions may be too large."""


def checked(
    session: Session, marks: Sequence[Mark], *, study_id: UUID, findings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The marks as they are stored; Unprocessable says which one (`mark`, from 0) may not be, and why.

    One that was drawn before the picture came again with another header is stored on the image that stands.
    `findings` is what the same review says: a mark belongs to one that is present or uncertain.
    """
    if not marks:
        return []
    if len(marks) > MOST_MARKS:
        raise Unprocessable(f"A review has at most {MOST_MARKS} marks on its images.")
    rows = session.execute(select(Image.id, Image.rows, Image.columns).where(Image.study_id == study_id))
    sizes = {image_id: (height, width) for image_id, height, width in rows}
    newer = superseded_by(session, [study_id])
    marks = [replace(mark, image_id=UUID(as_it_is_now(str(mark.image_id), newer))) for mark in marks]
    for number, mark in enumerate(marks):
        refusal = _refusal(mark, sizes, findings)
        if refusal:
            raise Unprocessable(refusal, mark=number)
    return [mark.as_json() for mark in marks]


def _refusal(
    mark: Mark, sizes: Mapping[UUID, tuple[int | None, int | None]], findings: Mapping[str, str]
) -> str | None:
    if mark.image_id not in sizes:
        return sentence("A mark is on an image that does not belong to this study.")
    if mark.finding not in findings:
        return sentence("A mark belongs to a finding of which the review says nothing.")
    if findings[mark.finding] == "absent":
        return sentence(
            "A mark belongs to a finding that the review calls absent. Delete it, or say what is there."
        )
    return _misplaced(mark, *sizes[mark.image_id])


def _misplaced(mark: Mark, height: int | None, width: int | None) -> str | None:
    if height is None or width is None:
        return sentence("A mark is on an image whose size is not known.")
    if not all(isfinite(value) for value in (mark.x, mark.y, mark.width, mark.height)):
        return sentence("A mark's place is not a number.")
    if mark.width < 1 or mark.height < 1:
        return sentence("A mark is smaller than a pixel.")
    right, bottom = mark.x + mark.width, mark.y + mark.height
    if mark.x < 0 or mark.y < 0 or right > width + _ROUNDING or bottom > height + _ROUNDING:
        return sentence(f"A mark reaches beyond its image, which is {width} pixels wide and {height} high.")
    return None
