"""Whether a candidate may take the place of the active bundle: lines that must all pass, from a comparison of
the two on the same images. The margins are one table, `MARGINS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from models.detail import LEAST_PATIENTS
from models.promotion_abilities import explained, gated, laned, looked_for, meant_for
from models.promotion_line import Line
from models.sentence import sentence

MARGINS: dict[str, float] = {
    "auc": 0.005,
    "sensitivity": 0.02,
    "specificity": 0.03,
    "stress": 0.01,
    "subgroup auc": 0.02,
    "subgroup sensitivity": 0.06,
    "subgroup specificity": 0.06,
    "retention": 0.02,
    "withheld": 0.01,
    "subgroup withheld": 0.02,
    "withheld when changed": 0.02,
    "calibration error": 0.05,
}
"""The first seven: the largest loss that the lower end of the 95% interval of the difference may still allow.
Retention: the share of the images that the active bundle called right which the candidate may call wrong.
Withheld: the share of the images by which the candidate may withhold more. Calibration error: how far the
probabilities may be, on average and at even odds, from those of the best line through their log odds.
"""
FLOORS: dict[str, float] = {"auc": 0.8, "sensitivity": 0.8}
"""What the lower end of the 95% interval of the candidate's own figure must reach in every subgroup that is
large enough, whatever the active bundle does there: a group that both misread must not pass.
"""
SUBGROUPS = {
    "auc": sentence("AUC"),
    "sensitivity": sentence("sensitivity"),
    "specificity": sentence("specificity"),
}
FACTS = {
    "age": sentence("age"),
    "sex": sentence("sex"),
    "view": sentence("view"),
    "station": sentence("station"),
    "source": sentence("source"),
}
NOT_STATED = sentence("not stated")


def promotion_gate(comparison: Mapping[str, Any]) -> tuple[Line, ...]:
    """Every line with its outcome, in a sentence with the figure and its limit.

    With the keys ``labels`` (counts of test labels that may judge, and others) and ``locked_test`` (uses and
    limit) the test itself is judged too: the service always gives them, files of one's own have neither.
    """
    with_it, without = comparison["patients_with"], comparison["patients_without"]
    say_finding = comparison["finding"]
    enough = min(with_it, without) >= LEAST_PATIENTS
    return (
        *_test(comparison),
        Line(
            "patients",
            True if enough else None,
            sentence(
                f"{with_it} patients with {say_finding} and {without} without it; "
                f"{LEAST_PATIENTS} of each are needed."
            ),
        ),
        *_whole(comparison, enough),
        *_subgroups(comparison),
        _calibrated(comparison, enough),
        _retained(comparison, enough),
        _withheld(comparison),
        *_withheld_when_changed(comparison),
        meant_for(comparison),
        looked_for(comparison),
        laned(comparison),
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


def _whole(comparison: Mapping[str, Any], enough: bool) -> Iterator[Line]:
    for name, said_figure in (
        ("auc", sentence("AUC")),
        ("sensitivity", sentence("Sensitivity at the operating point")),
        ("specificity", sentence("Specificity at the operating point")),
    ):
        yield _not_worse(name, said_figure, comparison["difference"][name], MARGINS[name], enough=enough)
    for row in comparison["stress"]:
        grade = row["grade"]
        said_figure = sentence(f"AUC under acquisition changes of grade {grade}")
        yield _not_worse(f"stress {grade}", said_figure, row["difference"], MARGINS["stress"], enough=enough)


def _subgroups(comparison: Mapping[str, Any]) -> Iterator[Line]:
    """One line for each figure of a group that is large enough, one for each that is not."""
    detail = comparison.get("detail") or {"subgroups": [], "untold": []}
    for group in detail["subgroups"]:
        said_fact, said_value = FACTS.get(group["of"], group["of"]), group["value"] or NOT_STATED
        name, with_it, without = (
            f"{said_fact} {said_value}",
            group["patients_with"],
            group["patients_without"],
        )
        if group["asked_enough"]:
            yield _withheld_of_group(group, name, said_fact, said_value)
        if not group["sufficient"]:
            yield Line(
                name,
                None,
                sentence(
                    f"Insufficient, {said_fact} {said_value}: {with_it} patients with the finding and "
                    f"{without} without it, and {LEAST_PATIENTS} of each are needed to tell."
                ),
                blocks=False,
            )
            continue
        for figure, said_figure in SUBGROUPS.items():
            said_group = sentence(f"{said_fact} {said_value}, {said_figure}")
            yield _not_worse(
                f"{name} {figure}",
                said_group,
                group["difference"][figure],
                MARGINS[f"subgroup {figure}"],
                enough=True,
            )
            if figure in FLOORS:
                yield _floor(f"{name} {figure} floor", said_group, group["candidate"][figure], FLOORS[figure])
    for fact in detail["untold"]:
        said_fact = FACTS.get(fact, fact)
        yield Line(
            said_fact,
            None,
            sentence(
                f"Insufficient, {said_fact}: no image of the test states it, so nothing is known of groups."
            ),
            blocks=False,
        )


def _withheld_of_group(group: Mapping[str, Any], name: str, said_fact: str, said_value: str) -> Line:
    """Judged by who was asked of: a candidate must not pass by withholding a group until it is too small."""
    asked, most = group["asked"], MARGINS["subgroup withheld"]
    more = (group["withheld"]["candidate"] - group["withheld"]["active"]) / asked
    return Line(
        f"{name} withheld",
        more <= most,
        sentence(
            f"{said_fact} {said_value}: the candidate withholds {more:+.1%} of the {asked} images beside "
            f"the active bundle; {most:.0%} more at most."
        ),
        short_by=round(more - most, 4) if more > most else None,
    )


def _not_worse(
    name: str, said_figure: str, difference: Mapping[str, float | None], margin: float, *, enough: bool
) -> Line:
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None or low is None or high is None:
        return Line(name, None, sentence(f"{said_figure}: it cannot be told from these images."))
    passes, limit = low >= -margin, -margin
    said = sentence(
        f"{said_figure}: {value:+.4f} against the active bundle ({low:+.4f} to {high:+.4f}); "
        f"the lower end must reach {limit:+.4f}."
    )
    if not enough:
        return Line(name, None, said)
    return Line(name, passes, said, short_by=None if passes else round(-margin - low, 4))


def _floor(name: str, said_figure: str, figure: Mapping[str, float | None], floor: float) -> Line:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return Line(name, None, sentence(f"{said_figure}: it cannot be told from these images."))
    return Line(
        name,
        low >= floor,
        sentence(
            f"{said_figure} of the candidate itself: {value:.3f} ({low:.3f} to {high:.3f}); "
            f"the lower end must reach {floor:.2f}."
        ),
        short_by=None if low >= floor else round(floor - low, 4),
    )


def _calibrated(comparison: Mapping[str, Any], enough: bool) -> Line:
    line = comparison["candidate"]["even_odds"]
    error, most = line["error"], MARGINS["calibration error"]
    slope, intercept = line["slope"], line["intercept"]
    if not math.isfinite(error):
        said_figure = sentence("Calibration")
        return Line("calibration", None, sentence(f"{said_figure}: it cannot be told from these images."))
    holds = error <= most
    said = sentence(
        f"Calibration at even odds: probabilities are off by {error:.3f} on average (slope {slope:.2f}, "
        f"intercept {intercept:+.2f}); {most} at most."
    )
    short = error - most
    return Line(
        "calibration",
        holds if enough else None,
        said,
        short_by=round(short, 4) if enough and not holds else None,
    )


def _retained(comparison: Mapping[str, Any], enough: bool) -> Line:
    share, most = comparison["lost_of_right"], MARGINS["retention"]
    said = sentence(
        f"Of what the active bundle called right, the candidate calls {share:.1%} wrong; {most:.0%} at most."
    )
    passes = share <= most
    return Line(
        "retention",
        passes if enough else None,
        said,
        short_by=round(share - most, 4) if enough and not passes else None,
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
