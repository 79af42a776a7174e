"""Marks: where on an image a reader sees what they say is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.domain.superseding import as_it_is_now

MOST_MARKS = 50
"""Of one review."""


class Shape(StrEnum):
    """An ellipse fills its box and lies straight in it."""

    BOX = "box"
    ELLIPSE = "ellipse"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One box or ellipse, in pixels of the stored image at full size.

    `x` and `y` are its left and upper edge; the image reaches from 0, 0 to columns, rows, so that the first
    pixel lies between 0 and 1.
    """

    image_id: UUID
    finding: str
    shape: Shape
    x: float
    y: float
    width: float
    height: float

    def as_json(self) -> dict[str, Any]:
        """As it is stored with a review and given to callers."""
        return {
            "image": str(self.image_id),
            "finding": self.finding,
            "shape": self.shape.value,
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
        }


def on_standing_images(
    marks: Sequence[Mapping[str, Any]], superseded_by: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Marks as JSON, each on the image that stands for the one it was drawn on: the pixels are the same."""
    return [{**mark, "image": as_it_is_now(str(mark["image"]), superseded_by)} for mark in marks]
