"""Whether a header says that its image is a frontal one of the chest: what a label of a chest is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.dicom.anatomy import BodyPart, body_part_of, names_chest
from app.dicom.image_header import DICOM
from app.dicom.projection import View, view_of, view_of_orientation

_FRONTAL = (View.AP, View.PA, View.FRONTAL)


def is_frontal_chest(header: Mapping[str, Any]) -> bool:
    """`header` is an `ImageHeader` as JSON. False where it does not say; a PNG or JPEG need not name the
    chest.
    """
    descriptions = [header.get(name) for name in ("series_description", "protocol_name")]
    view = view_of(header.get("view_position"))
    if view is View.UNSTATED:
        view = view_of_orientation(header.get("patient_orientation"))
    for description in descriptions:
        if view is View.UNSTATED:
            view = view_of(description, free_text=True)
    if view not in _FRONTAL:
        return False
    part = body_part_of(header.get("body_part_examined"), free_text=False)
    if part in (BodyPart.CHEST, BodyPart.OTHER):
        return part is BodyPart.CHEST
    if header.get("media_type") != DICOM:
        return True
    return any(names_chest(text) for text in (*descriptions, header.get("study_description")))
