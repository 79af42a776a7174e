"""Superseding: a picture sent again with another header, its pixels the same, takes the place of the old."""

from __future__ import annotations

from collections.abc import Mapping


def as_it_is_now(image_id: str, superseded_by: Mapping[str, str]) -> str:
    """The id of the picture with its newest header; `superseded_by` has what replaced each that was."""
    while image_id in superseded_by:
        image_id = superseded_by[image_id]
    return image_id
