"""The lines of the gate on what a candidate must be able to do because the active bundle is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.promotion_line import Line
from models.sentence import sentence


def looked_for(comparison: Mapping[str, Any]) -> Line:
    """The other lines are of one finding: what the candidate cannot find at all would show in none."""
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
