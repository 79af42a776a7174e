"""The patient's age at the study, from PatientAge as devices really write it, or from two dates."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Literal

from app.domain.sentence import sentence

OLDEST_YEARS = 120.0
"""Above this an age is a typing error or a placeholder, and counts as unknown."""

_DAYS_PER_YEAR = 365.25
_LONGEST_MONTH = 31
_SLIP = 1e-6  # of the arithmetic: 7 * (1 / 12) * 12 is less than 7
_UNITS = {
    **dict.fromkeys(("D", "DAY", "DAYS", "T", "TAG", "TAGE", "JOUR", "JOURS"), 1 / _DAYS_PER_YEAR),
    **dict.fromkeys(("W", "WK", "WKS", "WEEK", "WEEKS", "WOCHE", "WOCHEN"), 7 / _DAYS_PER_YEAR),
    **dict.fromkeys(("M", "MO", "MOS", "MTH", "MTHS", "MONTH", "MONTHS", "MONAT", "MONATE", "MOIS"), 1 / 12),
    **dict.fromkeys(
        ("Y", "YR", "YRS", "YEAR", "YEARS", "YO", "Y/O", "J", "JAHR", "JAHRE", "A", "AN", "ANS", "ANOS"), 1.0
    ),
}
_PART = re.compile(r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>[A-Z]+(?:/O)?)?\.?\s*")
_UNIT_FIRST = re.compile(r"(?P<unit>[DWMY])\s*(?P<number>\d+)")

PLACEHOLDER_BIRTH_DATES = frozenset({date(1900, 1, 1), date(1901, 1, 1), date(1800, 1, 1), date(1753, 1, 1)})
"""Dates that systems write for "not known"."""
_FIRST_RADIOGRAPH = date(1970, 1, 1)


def parse_patient_age(text: str | None) -> float | None:
    """Years from a PatientAge (0010,1010); None when it says nothing believable.

    PS3.5 6.2 asks for three digits and D, W, M or Y ("003Y"). Also read are missing zeros and missing units
    ("62": years), small letters, words, decimals, blanks, "Y003", "1Y 6M", ">89Y" and "090Y+".
    """
    if text is None:
        return None
    compact = text.replace("\0", " ").strip().upper().removeprefix(">").removesuffix("+").strip()
    if swapped := _UNIT_FIRST.fullmatch(compact):
        compact = swapped["number"] + swapped["unit"]
    years = 0.0
    position = 0
    while position < len(compact):
        part = _PART.match(compact, position)
        if part is None:
            return None
        unit = part["unit"]
        whole = position == 0 and part.end() == len(compact)
        if unit is None and not whole:
            return None
        if unit is not None and unit not in _UNITS:
            return None
        number = float(part["number"].replace(",", "."))
        years += number * (1.0 if unit is None else _UNITS[unit])
        position = part.end()
    if not compact or years > OLDEST_YEARS:
        return None
    return years


def age_between(birth: date | None, study: date | None) -> float | None:
    """Years between two dates; None for a missing, placeholder or impossible date.

    Completed years, then twelfths for completed months, so that birthdays are whole years; below a month
    days, as PatientAge counts them. Who was born on a day that a month lacks is a month older on the first of
    the next.
    """
    if birth is None or study is None or birth in PLACEHOLDER_BIRTH_DATES:
        return None
    if study < birth or study < _FIRST_RADIOGRAPH:
        return None
    months = 12 * (study.year - birth.year) + study.month - birth.month - (study.day < birth.day)
    if months == 0:
        return (study - birth).days / _DAYS_PER_YEAR
    years, months = divmod(months, 12)
    days = study.day - birth.day if study.day >= birth.day else (study - _last_monthday(birth, study)).days
    age = years + (months + days / _LONGEST_MONTH) / 12
    return age if age <= OLDEST_YEARS else None


def _last_monthday(birth: date, study: date) -> date:
    """In the month before that of the study; the first of the study's where that month is too short."""
    first = study.replace(day=1)
    before = first - timedelta(days=1)
    return before.replace(day=birth.day) if birth.day <= before.day else first


def counted(years: float) -> tuple[int, Literal["D", "W", "M", "Y"]]:
    """An age as a count of what people count it in, with DICOM's letter: completed ones, never rounded up.

    Years from two on, months below, days below a month. What is a whole number of days and of no months was a
    PatientAge in days or weeks, and stays one.
    """
    months, days = years * 12, years * _DAYS_PER_YEAR
    if years >= 2 - _SLIP:
        return int(years + _SLIP), "Y"
    if months < 1 - _SLIP:
        # Ages from dates were once stored by 366 days to the year.
        return int((years * 366 if _is_whole(years * 366) else days) + _SLIP), "D"
    if _is_whole(days) and not _is_whole(months):
        whole = round(days)
        return (whole, "D") if whole % 7 else (whole // 7, "W")
    return int(months + _SLIP), "M"


def _is_whole(count: float) -> bool:
    return abs(count - round(count)) < _SLIP


def say_age(years: float) -> str:
    """An age in words for a radiologist: "3 years old", "7 months old", "5 days old"."""
    count, unit = counted(years)
    match unit:
        case "Y":
            return sentence(f"{count} years old")
        case "M":
            return sentence(f"{count} month old") if count == 1 else sentence(f"{count} months old")
        case "W":
            return sentence(f"{count} weeks old")
        case "D":
            return sentence(f"{count} day old") if count == 1 else sentence(f"{count} days old")


def say_limit(years: float) -> str:
    """A limit of age in words: "1 year", "18 years", "6 months"."""
    if years != int(years):
        months = round(years * 12)
        return sentence(f"{months} months")
    count = int(years)
    return sentence(f"{count} year") if count == 1 else sentence(f"{count} years")
