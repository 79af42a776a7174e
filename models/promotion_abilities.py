"""The lines of the gate on what a candidate must be able to do because the active bundle is, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.promotion_line import Line
from models.sentence import sentence


def meant_for(comparison: Mapping[str, Any]) -> Line:
    """The figures are of images that the header gate was never asked about: none of them shows that others
    than the active bundle's may be read, or that some of those need not be.
    """
    active, candidate = comparison["intended_use"]["active"], comparison["intended_use"]["candidate"]
    others = [name for name in sorted({*active, *candidate}) if _part(active, name) != _part(candidate, name)]
    if others:
        parts = ", ".join(f"{name} {_said(candidate, name)} / {_said(active, name)}" for name in others)
        said = sentence(
            "The candidate's intended use is not the active bundle's, and no figure of the test speaks of "
            f"that (of the candidate / of the active bundle): {parts}."
        )
    else:
        said = sentence("The candidate's intended use is the active bundle's.")
    return Line("intended use", not others, said)


def _part(use: Mapping[str, Any], name: str) -> object:
    """In whatever order a list has."""
    value = use.get(name)
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def _said(use: Mapping[str, Any], name: str) -> str:
    value = _part(use, name)
    return "+".join(value) if isinstance(value, list) else str(value)


def looked_for(comparison: Mapping[str, Any]) -> Line:
    """The other lines are of findings that the candidate has: what it cannot find would show in none."""
    known = comparison["findings"]["candidate"]
    lacking = [finding for finding in comparison["findings"]["active"] if finding not in known]
    if lacking:
        findings = ", ".join(lacking)
        said = sentence(
            f"The active bundle looks for these findings, and the candidate does not: {findings}."
        )
    else:
        said = sentence("The candidate looks for every finding that the active bundle looks for.")
    return Line("findings", not lacking, said)


def laned(comparison: Mapping[str, Any]) -> Line:
    """A network without cuts abstains of everybody, and nobody comes first."""
    lacking = [lane for lane in comparison["cuts"]["active"] if lane not in comparison["cuts"]["candidate"]]
    if lacking:
        lanes = ", ".join(lacking)
        said = sentence(
            f"The candidate puts nobody in these lanes, and the active bundle does: {lanes}. It was "
            "calibrated on too few patients to bound its errors; bring more whom it has not learnt from."
        )
    else:
        said = sentence("The candidate has a cut for every lane that the active bundle has.")
    return Line("lanes", not lacking, said)


def gated(comparison: Mapping[str, Any]) -> Line:
    active, candidate = comparison["pixel_gate"]["active"], comparison["pixel_gate"]["candidate"]
    if active and not candidate:
        said = sentence(
            "The candidate cannot tell what is no chest radiograph, and the active bundle can: it learnt "
            "from too few images for a gate of its own."
        )
    else:
        said = sentence("The candidate's gate for pixels is no less than the active bundle's.")
    return Line("pixel gate", candidate or not active, said)


def explained(comparison: Mapping[str, Any]) -> Line:
    active, candidate = comparison["explanations"]["active"], comparison["explanations"]["candidate"]
    if candidate:
        said = sentence("The candidate's map passed its test and will be shown.")
    elif active:
        said = sentence("The active bundle's map is shown, and the candidate's did not pass its test.")
    else:
        said = sentence("Neither bundle's map passed its test; readers lose nothing by the change.")
    return Line("explanations", candidate or not active, said)
