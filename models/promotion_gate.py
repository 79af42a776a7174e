"""Whether a candidate may take the place of the active bundle: lines that must all pass, from a comparison of
the two on the same images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAST_PATIENTS = 50
"""Patients with the finding and without it, each; with fewer, nothing is shown and nothing passes."""
AUC_MARGIN = 0.005
SENSITIVITY_MARGIN = 0.02
SPECIFICITY_MARGIN = 0.03
STRESS_MARGIN = 0.01
"""Largest loss that the lower end of the 95% interval of the difference may still allow."""
MOST_LOST = 0.02
"""Share of the images that the active bundle called right which the candidate may call wrong."""
MOST_WITHHELD = 0.01
"""Share of the images by which the candidate may withhold more."""
SLOPE = (0.5, 2.0)
INTERCEPT = 1.0
"""Calibration at even odds: log odds that are neither half nor twice what they should be, nor off by more."""


@dataclass(frozen=True)
class Line:
    """One line of the gate. ``passes`` is None where there were too few patients to tell: no pass."""

    name: str
    passes: bool | None
    sentence: str


def promotion_gate(comparison: Mapping[str, Any]) -> tuple[Line, ...]:
    """Every line with its outcome, in a sentence with the figure and its limit."""
    with_it, without = comparison["patients_with"], comparison["patients_without"]
    enough = min(with_it, without) >= LEAST_PATIENTS
    lines = [
        Line(
            "patients",
            True if enough else None,
            f"{with_it} patients with {comparison['finding']} and {without} without it; {LEAST_PATIENTS} of "
            "each are needed.",
        )
    ]
    lines += [
        _not_worse(name, words, comparison["difference"][name], margin, enough=enough)
        for name, words, margin in (
            ("auc", "AUC", AUC_MARGIN),
            ("sensitivity", "Sensitivity at the operating point", SENSITIVITY_MARGIN),
            ("specificity", "Specificity at the operating point", SPECIFICITY_MARGIN),
        )
    ]
    lines += [
        _not_worse(
            f"stress {row['grade']}",
            f"AUC under acquisition changes of grade {row['grade']}",
            row["difference"],
            STRESS_MARGIN,
            enough=enough,
        )
        for row in comparison["stress"]
    ]
    return (
        *lines,
        _calibrated(comparison, enough),
        _retained(comparison, enough),
        _withheld(comparison),
        _explained(comparison),
    )


def may_be_promoted(lines: tuple[Line, ...]) -> bool:
    """Whether all lines pass."""
    return all(line.passes is True for line in lines)


def _not_worse(
    name: str, words: str, difference: Mapping[str, float], margin: float, *, enough: bool
) -> Line:
    sentence = (
        f"{words}: {difference['value']:+.4f} against the active bundle "
        f"({difference['low']:+.4f} to {difference['high']:+.4f}); the lower end must reach {-margin:+.4f}."
    )
    return Line(name, difference["low"] >= -margin if enough else None, sentence)


def _calibrated(comparison: Mapping[str, Any], enough: bool) -> Line:
    line = comparison["candidate"]["even_odds"]
    holds = SLOPE[0] <= line["slope"] <= SLOPE[1] and abs(line["intercept"]) <= INTERCEPT
    sentence = (
        f"Calibration at even odds: slope {line['slope']:.2f}, intercept {line['intercept']:+.2f}; "
        f"{SLOPE[0]} to {SLOPE[1]} and at most {INTERCEPT} either way are needed."
    )
    return Line("calibration", holds if enough else None, sentence)


def _retained(comparison: Mapping[str, Any], enough: bool) -> Line:
    share = comparison["lost_of_right"]
    sentence = (
        f"Of what the active bundle called right, the candidate calls {share:.1%} wrong; "
        f"{MOST_LOST:.0%} at most."
    )
    return Line("retention", share <= MOST_LOST if enough else None, sentence)


def _withheld(comparison: Mapping[str, Any]) -> Line:
    withheld, images = comparison["withheld"], comparison["asked"]
    sentence = (
        f"The candidate withholds {withheld['candidate']} of {images} images, the active bundle "
        f"{withheld['active']}; {MOST_WITHHELD:.0%} more at most."
    )
    return Line("withheld", withheld["candidate"] - withheld["active"] <= MOST_WITHHELD * images, sentence)


def _explained(comparison: Mapping[str, Any]) -> Line:
    active, candidate = comparison["explanations"]["active"], comparison["explanations"]["candidate"]
    if candidate:
        sentence = "The candidate's map passed its test and will be shown."
    elif active:
        sentence = "The active bundle's map is shown, and the candidate's did not pass its test."
    else:
        sentence = "Neither bundle's map passed its test; readers lose nothing by the change."
    return Line("explanations", candidate or not active, sentence)
