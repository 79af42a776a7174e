"""What an image's header says of the millimetres between its pixels, for pages and REST alike."""

from __future__ import annotations

from typing import Any

_DIGITS = 1e-3
"""Spacings that differ by no more of themselves are one, written from other types of number: what corrects
for the beam takes percents away.
"""


def spacing_of(header: dict[str, Any]) -> tuple[float, float] | None:
    """Millimetres between rows and between columns: Pixel Spacing, else Imager Pixel Spacing."""
    spacing = header.get("pixel_spacing") or header.get("imager_pixel_spacing")
    return (spacing[0], spacing[1]) if spacing else None


def is_at_detector(header: dict[str, Any]) -> bool:
    """True where the spacing is not corrected for how the beam widens: Imager Pixel Spacing, or a Pixel
    Spacing that only repeats it (PS3.3 10.7.1.3), be it with digits of its own.
    """
    imager, pixel = header.get("imager_pixel_spacing"), header.get("pixel_spacing")
    if not imager or not pixel:
        return bool(imager)
    return all(abs(one - other) <= _DIGITS * other for one, other in zip(pixel, imager, strict=True))
