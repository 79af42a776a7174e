"""The lines of the gate on one finding by which a bundle ranks patients: every one has its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from models.detail import LEAST_PATIENTS
from models.promotion_abilities import laned
from models.promotion_limits import FLOORS, MARGINS, NEW_FLOORS
from models.promotion_line import Line
from models.sentence import sentence

WHOLE = {
    "auc": sentence("AUC"),
    "sensitivity": sentence("Sensitivity at the operating point"),
    "specificity": sentence("Specificity at the operating point"),
}
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


def finding_lines(comparison: Mapping[str, Any]) -> Iterator[Line]:
    """The lines on every finding by which either bundle ranks patients; each names its own where there are
    several.
    """
    others = list(comparison.get("others") or ())
    told = {one["finding"] for one in (comparison, *others)}
    for finding in comparison["findings"]["candidate"]:
        if finding not in told:
            others.append({"finding": finding, "patients_with": 0, "patients_without": 0})
    for one in (comparison, *others):
        for line in _lines(one):
            yield _named(line, one["finding"]) if others else line


def _named(line: Line, say_finding: str) -> Line:
    said_line = line.sentence
    return replace(
        line,
        name=f"{say_finding}: {line.name}",
        sentence=sentence(f"Of the finding {say_finding}: {said_line}"),
    )


def _lines(one: Mapping[str, Any]) -> Iterator[Line]:
    with_it, without = one["patients_with"], one["patients_without"]
    say_finding = one["finding"]
    enough = min(with_it, without) >= LEAST_PATIENTS
    yield Line(
        "patients",
        True if enough else None,
        sentence(
            f"{with_it} patients with {say_finding} and {without} without it; "
            f"{LEAST_PATIENTS} of each are needed."
        ),
    )
    if "difference" in one:
        yield from _whole(one, enough)
    elif "own" in one:
        yield from _own(one, enough)
    else:
        yield Line(
            "figures",
            None,
            sentence(
                "Nothing can be told of it: too few images that both bundles read, as sent and under every "
                "change, have the finding or have it not."
            ),
        )
        return
    yield from _subgroups(one)
    yield _calibrated(one, enough)
    if "difference" in one:
        yield _retained(one, enough)
        yield laned(one)


def _own(one: Mapping[str, Any], enough: bool) -> Iterator[Line]:
    """By this finding the active bundle ranks nobody, so the candidate's own figures must do."""
    for name, said_figure in WHOLE.items():
        yield _floor(f"{name} floor", said_figure, one["own"][name], NEW_FLOORS[name], enough=enough)
    for row in one["stress"]:
        name, own = f"stress {row['grade']} floor", row["own"]["auc"]
        yield _floor(name, _under_changes(row), own, NEW_FLOORS["auc"], enough=enough)


def _under_changes(row: Mapping[str, Any]) -> str:
    grade = row["grade"]
    return sentence(f"AUC under acquisition changes of grade {grade}")


def _whole(comparison: Mapping[str, Any], enough: bool) -> Iterator[Line]:
    for name, said_figure in WHOLE.items():
        yield _not_worse(name, said_figure, comparison["difference"][name], MARGINS[name], enough=enough)
    for row in comparison["stress"]:
        name, margin = f"stress {row['grade']}", MARGINS["stress"]
        yield _not_worse(name, _under_changes(row), row["difference"], margin, enough=enough)


def _subgroups(comparison: Mapping[str, Any]) -> Iterator[Line]:
    """One line for each figure of a group that is large enough, one for each that is not."""
    detail = comparison.get("detail") or {"subgroups": [], "untold": []}
    new = "own" in comparison
    floors = NEW_FLOORS if new else FLOORS
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
            if not new:
                yield _not_worse(
                    f"{name} {figure}",
                    said_group,
                    group["difference"][figure],
                    MARGINS[f"subgroup {figure}"],
                    enough=True,
                )
            if figure in floors:
                own = group["candidate"][figure]
                yield _floor(f"{name} {figure} floor", said_group, own, floors[figure], enough=True)
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


def _floor(
    name: str, said_figure: str, figure: Mapping[str, float | None], floor: float, *, enough: bool
) -> Line:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None or low is None or high is None:
        return Line(name, None, sentence(f"{said_figure}: it cannot be told from these images."))
    said = sentence(
        f"{said_figure} of the candidate itself: {value:.3f} ({low:.3f} to {high:.3f}); "
        f"the lower end must reach {floor:.2f}."
    )
    if not enough:
        return Line(name, None, said)
    return Line(name, low >= floor, said, short_by=None if low >= floor else round(floor - low, 4))


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
