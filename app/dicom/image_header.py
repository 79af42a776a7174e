"""What a file says of itself, as plain data: for all who need no file and no pydicom, which has 40 MB."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

DICOM = "application/dicom"


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What a file says of itself; None where it says nothing. Texts are clean of control characters.

    `age_years` is PatientAge when it says something, otherwise reckoned from the dates;
    `age_from_dates_years` is the second alone, so that a contradiction can be seen. `body_part_examined` and
    `view_position` fall back to the meanings of AnatomicRegionSequence and ViewCodeSequence,
    `patient_species` (None says nothing) to that of PatientSpeciesCodeSequence and to the breed. `image_type`
    is joined by backslashes.
    `attributes` is the DICOM JSON model without bulk data; empty for PNG and JPEG.
    """

    media_type: str
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    transfer_syntax_uid: str | None = None
    specific_character_set: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_name: str | None = None
    patient_sex: str | None = None
    patient_species: str | None = None
    patient_birth_date: date | None = None
    age_years: float | None = None
    age_from_dates_years: float | None = None
    study_date: date | None = None
    study_time: str | None = None
    accession_number: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    protocol_name: str | None = None
    modality: str | None = None
    body_part_examined: str | None = None
    view_position: str | None = None
    image_laterality: str | None = None
    patient_orientation: str | None = None
    presentation_intent: str | None = None
    image_type: str | None = None
    conversion_type: str | None = None
    quality_control_image: str | None = None
    photometric_interpretation: str | None = None
    station_name: str | None = None
    institution_name: str | None = None
    manufacturer: str | None = None
    series_number: int | None = None
    instance_number: int | None = None
    rows: int | None = None
    columns: int | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    samples_per_pixel: int | None = None
    number_of_frames: int | None = None
    pixel_spacing: tuple[float, float] | None = None
    imager_pixel_spacing: tuple[float, float] | None = None
    burned_in_annotation: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
