"""A child's chest radiograph before the header gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from app.dicom.gate import (
    GateVerdict,
    header_gate,
)
from app.dicom.header import ImageHeader
from app.domain.intended_use import IntendedUse

CHILDREN = IntendedUse(
    min_age_years=1, max_age_years=6, modalities=("CR", "DX"), body_parts=("CHEST",), views=("AP", "PA")
)


CHILD = ImageHeader(
    media_type="application/dicom",
    modality="DX",
    body_part_examined="CHEST",
    view_position="AP",
    age_years=3.0,
    photometric_interpretation="MONOCHROME2",
    samples_per_pixel=1,
    number_of_frames=1,
    rows=2000,
    columns=1800,
)


def judge(
    *, door: Literal["dicom", "file"] = "dicom", paediatric_source: bool = False, **changes: Any
) -> GateVerdict:
    return header_gate(replace(CHILD, **changes), CHILDREN, paediatric_source=paediatric_source, door=door)
