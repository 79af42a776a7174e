"""Headers as the images table holds them."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Any

from app.dicom.image_header import ImageHeader

_NAMES = tuple(field.name for field in fields(ImageHeader) if field.name != "attributes")


def header_as_json(header: ImageHeader) -> dict[str, Any]:
    """The header without `attributes`, as JSON holds it; `header_from_json` is its inverse."""
    values = {name: getattr(header, name) for name in _NAMES}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def header_from_json(values: dict[str, Any]) -> ImageHeader:
    """The header that `header_as_json` wrote, perhaps in an older version, with empty `attributes`."""
    known: dict[str, Any] = {name: values.get(name) for name in _NAMES}
    for name in ("patient_birth_date", "study_date"):
        known[name] = date.fromisoformat(known[name]) if known[name] else None
    for name in ("pixel_spacing", "imager_pixel_spacing"):
        known[name] = tuple(known[name]) if known[name] else None
    return ImageHeader(**known)
