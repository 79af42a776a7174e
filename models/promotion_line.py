"""One line of the gate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line of the gate. ``passes`` is None where there were too few patients to tell: no pass."""

    name: str
    passes: bool | None
    sentence: str
    short_by: float | None = None
    """How far it is on the wrong side of its limit; None where it passes or cannot be told."""
    blocks: bool = True
    """False of a subgroup too small to judge: it keeps nobody out, and whoever promotes is told its name."""
