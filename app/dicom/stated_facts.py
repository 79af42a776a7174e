"""What a manifest states of a picture beside its label, read as the header of a DICOM file would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.dicom.age import parse_patient_age


def parsed_facts(stated: Mapping[str, str]) -> dict[str, Any]:
    """age_years as a number ("003Y" is 3), left out where it says nothing believable; sex as its first
    letter, large; view and station as they are. What is not stated is not there.
    """
    facts: dict[str, Any] = {fact: value for fact, value in stated.items() if fact != "age_years"}
    age = parse_patient_age(stated.get("age_years"))
    if age is not None:
        facts["age_years"] = age
    if "sex" in facts:
        facts["sex"] = facts["sex"][:1].upper()
    return facts
