"""Whether a candidate may take the place of the active bundle: lines that must all pass, from a comparison of
the two on the same images. The limits are those of `models.promotion_limits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.promotion_abilities import explained, gated, looked_for, meant_for
from models.promotion_finding import finding_lines
from models.promotion_limits import MARGINS
from models.promotion_line import Line
from models.sentence import sentence


def promotion_gate(comparison: Mapping[str, Any]) -> tuple[Line, ...]:
    """Every line with its outcome, in a sentence with the figure and its limit.

    With the keys ``labels`` (counts of test labels that may judge, and others) and ``locked_test`` (uses and
    limit) the test itself is judged too: the service always gives them, files of one's own have neither.
    """
    return (
        *_test(comparison),
        *finding_lines(comparison),
        _withheld(comparison),
        *_withheld_when_changed(comparison),
        meant_for(comparison),
        looked_for(comparison),
        gated(comparison),
        explained(comparison),
    )


def may_be_promoted(lines: tuple[Line, ...]) -> bool:
    """Whether all lines pass that keep a candidate out."""
    return all(line.passes is True for line in lines if line.blocks)


def _test(comparison: Mapping[str, Any]) -> Iterator[Line]:
    if "labels" in comparison:
        others = int(comparison["labels"]["others"])
        yield Line(
            "labels",
            others == 0,
            sentence(
                f"{others} labels of the test are neither imported, adjudicated nor of a blind read; "
                "none may be, since they would favour the network that was looked at."
            ),
            short_by=float(others) or None,
        )
    if "locked_test" in comparison:
        use, limit = int(comparison["locked_test"]["use"]), int(comparison["locked_test"]["limit"])
        yield Line(
            "locked test",
            use <= limit,
            sentence(f"This is use {use} of the locked test; it serves {limit} times and is then refreshed."),
            short_by=float(use - limit) if use > limit else None,
        )


def _withheld(comparison: Mapping[str, Any]) -> Line:
    candidate, active = comparison["withheld"]["candidate"], comparison["withheld"]["active"]
    images, most = comparison["asked"], MARGINS["withheld"]
    more = (candidate - active) / images
    said = sentence(
        f"The candidate withholds {candidate} of {images} images, the active bundle {active}; "
        f"{most:.0%} more at most."
    )
    return Line("withheld", more <= most, said, short_by=round(more - most, 4) if more > most else None)


def _withheld_when_changed(comparison: Mapping[str, Any]) -> Iterator[Line]:
    """What is withheld is not judged: a candidate must not pass by withholding what is hard."""
    for row in comparison["stress"]:
        grade, most = row["grade"], MARGINS["withheld when changed"]
        more = (row["withheld"]["candidate"] - row["withheld"]["active"]) / row["asked"]
        yield Line(
            f"stress {grade} withheld",
            more <= most,
            sentence(
                f"Under acquisition changes of grade {grade} the candidate withholds {more:+.1%} of the "
                f"images beside the active bundle; {most:.0%} more at most."
            ),
            short_by=round(more - most, 4) if more > most else None,
        )
