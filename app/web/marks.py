"""Marks as callers and forms send them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from app.domain.marks import Mark, Shape
from app.errors import Unprocessable
from app.web.api.values import Input

_Pixels = Annotated[float, Field(allow_inf_nan=False)]


class MarkInput(Input):
    """A box or ellipse, in pixels of the stored image at full size; see `app.domain.marks.Mark`."""

    image: UUID = Field(description="One of the study's images.")
    finding: str = Field(
        min_length=1, max_length=100, description="One that the review calls present or uncertain."
    )
    shape: Shape
    x: _Pixels = Field(description="The left edge; 0 is that of the image.")
    y: _Pixels = Field(description="The upper edge.")
    width: _Pixels
    height: _Pixels

    def mark(self) -> Mark:
        """The mark that is meant."""
        return Mark(
            image_id=self.image,
            finding=self.finding,
            shape=self.shape,
            x=self.x,
            y=self.y,
            width=self.width,
            height=self.height,
        )


_MARKS = TypeAdapter(list[MarkInput])


def marks_in(text: str) -> tuple[Mark, ...]:
    """The marks of a form's field, which holds JSON or nothing; Unprocessable where they cannot be read."""
    if not text:
        return ()
    try:
        return tuple(given.mark() for given in _MARKS.validate_json(text))
    except ValidationError:
        raise Unprocessable(
            "The marks on the images could not be read, so nothing was signed. Load the page again."
        ) from None
