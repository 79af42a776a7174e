"""Windows and look-up tables from values to brightness (PS3.3 C.11.1 and C.11.2).

All functions map an array of modality values (float64) to brightness between 0 (black) and 1 (white).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WindowFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
Values = NDArray[np.float64]

_EXPONENT_LIMIT = 700.0
"""exp() of more overflows a float64."""


@dataclass(frozen=True)
class Window:
    """Center and width in modality values; `explanation` is what the header calls it, or who chose it."""

    center: float
    width: float
    explanation: str = ""
    function: WindowFunction = "LINEAR"


@dataclass(frozen=True)
class VoiLut:
    """Value `first` and below map to `entries[0]`, the next to the next; entries have `bits` bits."""

    first: int
    entries: tuple[int, ...]
    bits: int
    explanation: str = ""


def usable(window: Window) -> bool:
    """True when the width is one that the function allows (PS3.3 C.11.2.1.2)."""
    return window.width >= 1 if window.function == "LINEAR" else window.width > 0


def apply_window(values: Values, window: Window) -> Values:
    """Brightness by PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID) or C.11.2.1.3.2 (LINEAR_EXACT)."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        exponent = np.clip(-4 * (values - center) / width, -_EXPONENT_LIMIT, _EXPONENT_LIMIT)
        return np.asarray(1 / (1 + np.exp(exponent)))
    if window.function == "LINEAR":
        if width == 1:
            return np.where(values <= center - 0.5, 0.0, 1.0)
        center, width = center - 0.5, width - 1
    return np.asarray(np.clip((values - center) / width + 0.5, 0, 1))


def apply_voi_lut(values: Values, lut: VoiLut) -> Values:
    """Brightness by a VOI LUT (PS3.3 C.11.2.1.1); values beyond its ends take the first and last entry."""
    entries = np.asarray(lut.entries, dtype=np.float64) / (2**lut.bits - 1)
    index = np.clip(np.rint(values) - lut.first, 0, len(entries) - 1).astype(np.intp)
    return np.asarray(np.clip(entries[index], 0, 1))


def full_range_window(low: float, high: float, explanation: str) -> Window:
    """The window that shows `low` as black and `high` as white."""
    return Window((low + high) / 2, max(high - low, 1e-6), explanation, "LINEAR_EXACT")


def robust_window(counts: NDArray[np.int64], values: Values) -> Window:
    """A window over the middle 99 % of an image of which `counts[i]` pixels have the value `values[i]`.

    Half a percent at each end is left out: burnt-in letters, dead pixels, markers of lead.
    """
    order = np.argsort(values, kind="stable")
    ordered, share = values[order], np.cumsum(counts[order], dtype=np.float64)
    if len(share) == 0 or share[-1] == 0:
        return full_range_window(0, 1, "default")
    share /= share[-1]
    low = ordered[min(int(np.searchsorted(share, 0.005)), len(ordered) - 1)]
    high = ordered[min(int(np.searchsorted(share, 0.995)), len(ordered) - 1)]
    return full_range_window(float(low), float(high), "default")
