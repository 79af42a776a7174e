"""What a bundle may be asked about: its intended use, as its manifest states it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class IntendedUse:
    """Patients and images a network was made for; ages in years, from `min` inclusive to `max` exclusive.

    Codes are DICOM's: `modalities` as in (0008,0060), `body_parts` as in (0018,0015), `views` as in
    (0018,5101).
    """

    min_age_years: float
    max_age_years: float
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    views: tuple[str, ...]

    def admits_age(self, age_years: float) -> bool:
        """True when a patient of this age is inside the intended use."""
        return self.min_age_years <= age_years < self.max_age_years
