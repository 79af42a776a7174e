"""How the pages say things: moments in the site's zone, durations, ages, names, and the network's lanes."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from babel.dates import format_date, format_datetime

from app.dicom.age import counted
from app.domain.order import Lane
from app.domain.states import State
from app.language import N_, _, current, locale
from app.local_time import local
from app.queries.why_here import in_words
from app.records.base import now
from app.told import told

USE = N_("For prioritisation only. Not a diagnosis; not a cleared medical device.")
"""Stands on every page that shows a reading."""

_STATES = {
    State.ADMITTED: N_("waiting for the network"),
    State.SCREENING: N_("being screened"),
    State.SCREENED: N_("to be read"),
    State.WITHHELD: N_("to be read"),
    State.FAILED: N_("to be read"),
    State.CLAIMED: N_("held"),
    State.SIGNED: N_("signed"),
    State.AMENDED: N_("amended"),
    State.REOPENED: N_("reopened"),
}
_LANES = {
    Lane.RULE_IN: ("▲", N_("Rule-in")),
    Lane.ABSTAIN: ("◆", N_("Abstain")),
    Lane.RULE_OUT: ("▽", N_("Rule-out")),
}
_EAST_ASIAN = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f]"
)
"""Kana, ideographs and Hangul."""
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ISOLATE, _POP = "\u2068", "\u2069"
_SEXES = {"M": N_("male"), "F": N_("female"), "O": N_("other")}


def say_moment(moment: datetime | None) -> str:
    """`14:05` for today, `21 Nov 14:05` this year, `21 Nov 2025 14:05` before."""
    if moment is None:
        return _("never")
    there, today = local(moment), local(now())
    if there.date() == today.date():
        return f"{there:%H:%M}"
    # Translators: how day and time are written, in the letters of Unicode's date patterns
    pattern = _("d MMM HH:mm") if there.year == today.year else _("d MMM yyyy HH:mm")
    return _written(there.replace(second=0, microsecond=0), pattern, current())


@lru_cache(maxsize=4096)  # a list says the same moments again and again
def _written(day: date, pattern: str, language: str) -> str:
    if isinstance(day, datetime):
        return format_datetime(day, pattern, tzinfo=day.tzinfo, locale=locale(language))
    return format_date(day, pattern, locale=locale(language))


def say_full_moment(moment: datetime) -> str:
    """`2026-11-22 14:05:09 UTC`, for trails and tooltips."""
    return f"{local(moment):%Y-%m-%d %H:%M:%S %Z}"


def say_date(day: date | str | None) -> str:
    """`21 Nov 2026`; takes ISO 8601 text too."""
    if not day:
        return ""
    if isinstance(day, str):
        day = date.fromisoformat(day)
    # Translators: how a day is written, in the letters of Unicode's date patterns
    return _written(day, _("d MMM yyyy"), current())


def say_time(time: str | None) -> str:
    """DICOM's TM `140509.1` as `14:05`; what is no TM is left out."""
    digits = (time or "").replace(":", "")[:4]
    return f"{digits[:2]}:{digits[2:]}" if len(digits) == 4 and digits.isdecimal() else ""


def say_duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 05`, `2 d 4 h`."""
    minutes = int(max(seconds, 0) // 60)
    if minutes < 1:
        return _("%(seconds)s s", seconds=int(max(seconds, 0)))
    if minutes < 60:
        return _("%(minutes)s min", minutes=minutes)
    if minutes < 48 * 60:
        return _("%(hours)s h %(minutes)s", hours=minutes // 60, minutes=f"{minutes % 60:02}")
    return _("%(days)s d %(hours)s h", days=minutes // 1440, hours=minutes % 1440 // 60)


def say_age(years: float | None) -> str:
    """`3 y`, `8 mo` below two years, `12 d` below a month; `6 w` and `45 d` where the header counts so; empty
    where unknown.
    """
    if years is None:
        return ""
    count, unit = counted(years)
    match unit:
        case "Y":
            return _("%(years)s y", years=count)
        case "M":
            return _("%(months)s mo", months=count)
        case "W":
            return _("%(weeks)s w", weeks=count)
        case "D":
            return _("%(days)s d", days=count)


def say_sex(code: str | None) -> str:
    """DICOM's M, F, O in a word."""
    return _(_SEXES.get((code or "").upper(), ""))


def say_name(name: str | None) -> str:
    """DICOM's PN `Doe^Jane^^Dr` as `Doe, Jane (Dr)`; of several scripts (`=`) all that are there.

    PS3.5 6.2.1.1 has them in the order letters, ideographs, sounds. Readers of Chinese are given the
    ideographs first; in names in East Asian scripts their given name follows the family's without a comma.
    A name that is written from right to left is isolated (Unicode's FSI and PDI), so that what stands beside
    it keeps its place in page titles, rows and on the picture alike. Marks of direction that the name brings
    along are left out: one that is never closed would turn the figures beside it round.
    """
    groups = _DIRECTIONS.sub("", name or "").split("=")
    east = current().startswith("zh")
    if east and len(groups) > 1:
        groups[:2] = groups[1], groups[0]
    said = [_say_group(group, comma=not (east and _EAST_ASIAN.search(group))) for group in groups]
    whole = " · ".join(dict.fromkeys(group for group in said if group)) or _("No name")
    return f"{_ISOLATE}{whole}{_POP}" if _RIGHT_TO_LEFT.search(whole) else whole


def _say_group(group: str, *, comma: bool) -> str:
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    names = " ".join(part.strip() for part in (given, middle) if part.strip())
    extra = " ".join(part.strip() for part in (prefix, suffix) if part.strip())
    said = (", " if comma else "").join(part for part in (family.strip(), names) if part)
    return f"{said} ({extra})" if extra and said else said


def say_state(state: State | str) -> str:
    """The state of a study for a reader."""
    return _(_STATES[State(state)])


def lane_sign(lane: Lane | str | None) -> str:
    """A shape that tells the lanes apart without colour."""
    return _LANES[Lane(lane)][0] if lane else "○"


def lane_name(lane: Lane | str | None) -> str:
    """The lane's name."""
    return _(_LANES[Lane(lane)][1]) if lane else _("Not read")


def spoken(finding: dict[str, Any]) -> str:
    """The probability in a word: likely, uncertain or unlikely."""
    return told(in_words(finding))


def lasting(findings: dict[str, Any]) -> dict[str, Any]:
    """The findings that rank and are confirmed: research outputs left out."""
    return {name: finding for name, finding in findings.items() if not finding.get("research")}


def say_p(value: float) -> str:
    """`= 0.034`, `< 0.001`: no test of so many images tells more of its p."""
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def say_bytes(count: int) -> str:
    """`256 MiB`, for limits."""
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return _("%(count)s bytes", count=count)
