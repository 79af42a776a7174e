"""The header gate: may the network speak of this image at all? It speaks first, before a pixel is decoded.

Every refusal is a sentence for a radiologist. What the header does not say is not held against an image,
except for its modality and, unless the site has declared a paediatric source, its patient's age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.dicom.age import say_age
from app.dicom.anatomy import BodyPart, View, body_part_of, view_of, view_of_orientation
from app.dicom.header import DICOM, ImageHeader
from app.domain.intended_use import IntendedUse

AGE_UNKNOWN = "age unknown"
BODY_PART_UNSTATED = "body part not stated"
VIEW_UNSTATED = "view not stated"

SMALLEST_SIDE = 128
"""Pixels; smaller images are icons and thumbnails, in which nothing of a lung can be judged."""
LONGEST_RATIO = 4
"""Long over short side; beyond it an image is a strip or a stitched spine, not a chest."""

_DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


@dataclass(frozen=True)
class GateVerdict:
    """`withheld` is the sentence why the network must not speak, or None; `notices` show wherever the
    reading shows.
    """

    withheld: str | None
    notices: tuple[str, ...] = ()


def header_gate(
    header: ImageHeader,
    intended_use: IntendedUse,
    *,
    paediatric_source: bool,
    door: Literal["dicom", "file"],
) -> GateVerdict:
    """Hold a header against a bundle's intended use.

    `door` is "file" for images given one by one on purpose (a browser's PNG or JPEG, `predict`): there an
    unknown age is screened with a notice. Through "dicom" that needs `paediatric_source`.
    """
    notices: list[str] = []
    withheld = (
        _modality(header, intended_use)
        or _kind_of_image(header)
        or _body_part(header, intended_use, notices)
        or _view(header, intended_use, notices)
        or _age(header, intended_use, notices, age_may_be_unknown=paediatric_source or door == "file")
        or _dimensions(header)
    )
    return GateVerdict(withheld, tuple(notices))


def _modality(header: ImageHeader, intended_use: IntendedUse) -> str | None:
    known = " or ".join(intended_use.modalities)
    modality = (header.modality or "").upper()
    if modality:
        return (
            None
            if modality in intended_use.modalities
            else f"The modality is {modality}; this network knows {known}."
        )
    if header.media_type == DICOM:
        return f"The header names no modality; this network knows {known}."
    return None


def _kind_of_image(header: ImageHeader) -> str | None:
    if (
        "FOR PROCESSING" in (header.presentation_intent or "").upper()
        or header.sop_class_uid == _DX_FOR_PROCESSING
    ):
        return "The image is raw data for processing; this network reads images made for presentation."
    if (header.number_of_frames or 1) > 1:
        return f"The image has {header.number_of_frames} frames; this network reads single radiographs."
    if header.media_type == DICOM:
        photometric = (header.photometric_interpretation or "").upper()
        if (header.samples_per_pixel or 1) > 1 or photometric == "PALETTE COLOR":
            return "The image is in colour, as a screenshot is; this network reads grey radiographs."
    return None


def _body_part(header: ImageHeader, intended_use: IntendedUse, notices: list[str]) -> str | None:
    if not any(body_part_of(name, free_text=False) is BodyPart.CHEST for name in intended_use.body_parts):
        return "This network's bundle names no body part that this program can recognise."
    stated = body_part_of(header.body_part_examined, free_text=False)
    if stated is BodyPart.OTHER:
        named = (header.body_part_examined or "").upper()
        return f"The body part is {named}; this network knows the chest alone."
    if stated is BodyPart.CHEST or header.media_type != DICOM:
        return None
    for description in (header.series_description, header.protocol_name, header.study_description):
        described = body_part_of(description, free_text=True)
        if described is BodyPart.CHEST:
            return None
        if described is BodyPart.OTHER:
            return "The description names another part of the body; this network knows the chest alone."
    notices.append(BODY_PART_UNSTATED)
    return None


def _view(header: ImageHeader, intended_use: IntendedUse, notices: list[str]) -> str | None:
    view = view_of(header.view_position)
    if view is View.UNSTATED:
        view = view_of_orientation(header.patient_orientation)
    for description in (header.series_description, header.protocol_name):
        if view is View.UNSTATED:
            view = view_of(description)
    known = " or ".join(intended_use.views)
    if view is View.UNSTATED:
        if header.media_type == DICOM:
            notices.append(VIEW_UNSTATED)
        return None
    if view is View.FRONTAL or view.value in intended_use.views:
        return None
    if view in (View.AP, View.PA):
        return f"The view is {view.value}; this network knows {known} views."
    article = "an" if view is View.OBLIQUE else "a"
    return f"This is {article} {view.value} view; this network knows frontal views ({known}) alone."


def _age(
    header: ImageHeader, intended_use: IntendedUse, notices: list[str], *, age_may_be_unknown: bool
) -> str | None:
    least, most = intended_use.min_age_years, intended_use.max_age_years
    known = f"this network knows patients from {_say_limit(least)} to under {_say_limit(most)} of age"
    if header.age_years is None:
        if not age_may_be_unknown:
            return f"The patient's age is unknown; {known}."
        notices.append(AGE_UNKNOWN)
        return None
    if not intended_use.admits_age(header.age_years):
        return f"The patient is {say_age(header.age_years)}; {known}."
    by_dates = header.age_from_dates_years
    # Inside by PatientAge, and by the dates outside by more than the rounding of "003Y" explains.
    if by_dates is not None and not least - 1 <= by_dates < most + 1:
        return (
            f"The header contradicts itself: {say_age(header.age_years)} by the age, "
            f"{say_age(by_dates)} by the dates of birth and study; {known}."
        )
    return None


def _say_limit(years: float) -> str:
    if years != int(years):
        return f"{round(years * 12)} months"
    return f"{int(years)} year" if years == 1 else f"{int(years)} years"


def _dimensions(header: ImageHeader) -> str | None:
    if not header.rows or not header.columns:
        return None
    short, long = sorted((header.rows, header.columns))
    if short < SMALLEST_SIDE:
        return f"The image has only {header.columns} x {header.rows} pixels; nothing can be judged in it."
    if long > LONGEST_RATIO * short:
        return (
            f"The image has {header.columns} x {header.rows} pixels; a chest radiograph is not that narrow."
        )
    return None
