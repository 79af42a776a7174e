"""What a manifest or a header states of a picture beside its label: the same facts, read alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.dicom.age import parse_patient_age
from app.dicom.image_header import ImageHeader


def parsed_facts(stated: Mapping[str, str]) -> dict[str, Any]:
    """age_years as a number ("003Y" is 3), left out where it says nothing believable; sex as its first
    letter, large; view and station as they are. What is not stated is not there.
    """
    facts: dict[str, Any] = {fact: value for fact, value in stated.items() if fact != "age_years"}
    age = parse_patient_age(stated.get("age_years"))
    if age is not None:
        facts["age_years"] = age
    if "sex" in facts:
        facts["sex"] = _sex(facts["sex"])
    return facts


def header_facts(header: ImageHeader) -> dict[str, Any]:
    """The same of a file's own header, which counts before a manifest; nothing of PNG and JPEG."""
    known = {
        "age_years": header.age_years,
        "sex": None if header.patient_sex is None else _sex(header.patient_sex),
        "view": header.view_position,
        "station": header.station_name,
    }
    return {fact: value for fact, value in known.items() if value is not None}


def _sex(said: str) -> str:
    return said[:1].upper()
