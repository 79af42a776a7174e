"""Which code a finding has: SNOMED CT's where we know it, else one of our own."""

from __future__ import annotations

from models.manifest import FindingCode

KNOWN_CODES = {
    "pneumonia": ("233604007", "SCT", "Pneumonia"),
    "bacterial pneumonia": ("53084003", "SCT", "Bacterial pneumonia"),
    "viral pneumonia": ("75570004", "SCT", "Viral pneumonia"),
}


def finding_code(name: str, *, research: bool, bias: float) -> FindingCode:
    """The finding with its SNOMED CT code where we know it, else a code of our own made from its name."""
    own = ("".join(letter if letter.isalnum() else "-" for letter in name)[:16].upper(), "99FIRSTREAD", name)
    value, scheme, meaning = KNOWN_CODES.get(name, own)
    return FindingCode(name, value, scheme, meaning, research=research, bias=bias)
