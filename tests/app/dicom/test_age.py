"""PatientAge in all its forms, and the age between two dates."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dicom.age import OLDEST_YEARS, age_between, counted, parse_patient_age, say_age

YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@given(number=st.integers(0, 999), unit=st.sampled_from("DWMY"))
def test_every_age_of_the_standard_is_read_or_is_impossible(number: int, unit: str) -> None:
    expected = number * YEARS[unit]
    years = parse_patient_age(f"{number:03d}{unit}")
    if expected > OLDEST_YEARS:
        assert years is None
    else:
        assert years == pytest.approx(expected)


@given(
    number=st.integers(0, 99),
    unit=st.sampled_from("DWMYdwmy"),
    zeros=st.integers(0, 3),
    before=st.sampled_from(["", " ", "\0"]),
    between=st.sampled_from(["", " "]),
    after=st.sampled_from(["", " ", "\0", "."]),
)
def test_zeros_blanks_and_small_letters_change_nothing(
    number: int, unit: str, zeros: int, before: str, between: str, after: str
) -> None:
    written = f"{before}{'0' * zeros}{number}{between}{unit}{after}"
    assert parse_patient_age(written) == pytest.approx(number * YEARS[unit.upper()])


@given(st.text(max_size=12))
def test_no_text_raises_and_every_answer_is_a_possible_age(text: str) -> None:
    years = parse_patient_age(text)
    assert years is None or 0 <= years <= OLDEST_YEARS


@pytest.mark.parametrize(
    ("written", "years"),
    [
        ("62", 62),
        ("062", 62),
        ("3", 3),
        ("3.5Y", 3.5),
        ("3,5 y", 3.5),
        ("Y003", 3),
        ("18 months", 1.5),
        ("6 Yrs.", 6),
        ("4 y/o", 4),
        ("1Y 6M", 1.5),
        ("1Y6M", 1.5),
        (">89Y", 89),
        ("090Y+", 90),
        ("5 Jahre", 5),
        ("000Y", 0),
    ],
)
def test_sloppy_ages_are_read(written: str, years: float) -> None:
    assert parse_patient_age(written) == pytest.approx(years)


@pytest.mark.parametrize(
    "written", [None, "", " ", "-3Y", "Y", "adult", "3X", "999Y", "148", "1Y 6", "3 4 Y", "NaN"]
)
def test_what_is_no_age_is_unknown(written: str | None) -> None:
    assert parse_patient_age(written) is None


@given(birth=st.dates(date(1905, 1, 1), date(2024, 12, 31)), days=st.integers(0, 40_000))
def test_the_age_between_two_dates_is_near_the_days_between_them(birth: date, days: int) -> None:
    study = birth + timedelta(days=days)
    years = age_between(birth, study)
    if study < date(1970, 1, 1) or days / 365.2425 > OLDEST_YEARS - 1:
        assert years is None or years <= OLDEST_YEARS
    else:
        assert years == pytest.approx(days / 365.2425, abs=0.01)


@given(birth=st.dates(date(1971, 1, 1), date(2000, 12, 31)), years=st.integers(1, 20))
def test_birthdays_are_whole_years(birth: date, years: int) -> None:
    try:
        birthday = birth.replace(year=birth.year + years)
    except ValueError:
        birthday = date(birth.year + years, 3, 1)
    assert age_between(birth, birthday) == years
    the_day_before = age_between(birth, birthday - timedelta(days=1))
    assert the_day_before is not None
    assert the_day_before < years


def of_header(number: int, unit: str) -> tuple[int, str]:
    years = parse_patient_age(f"{number:03d}{unit}")
    assert years is not None
    return counted(years)


def test_every_age_in_days_is_shown_as_the_header_has_it() -> None:
    for days in range(1, 731):
        said = (days, "D") if days % 7 or days < 30 else (days // 7, "W")
        if days == 487:  # and 16 months to the hour
            said = (16, "M")
        assert of_header(days, "D") == said, days


def test_every_age_in_weeks_months_and_years_is_shown_as_the_header_has_it() -> None:
    assert [of_header(weeks, "W") for weeks in range(1, 5)] == [(7, "D"), (14, "D"), (21, "D"), (28, "D")]
    for weeks in range(5, 105):
        assert of_header(weeks, "W") == (weeks, "W")
    for months in range(1, 24):
        assert of_header(months, "M") == (months, "M")
    for months in range(24, 1000):
        assert of_header(months, "M") == (months // 12, "Y")
    assert of_header(1, "Y") == (12, "M")
    for years in range(2, 121):
        assert of_header(years, "Y") == (years, "Y")


def day_later(birth: date, months: int) -> date:
    """When so many months are completed: on the first of the next month where there is no such day."""
    year, month = divmod(birth.year * 12 + birth.month - 1 + months, 12)
    if birth.day <= monthrange(year, month + 1)[1]:
        return date(year, month + 1, birth.day)
    year, month = divmod(year * 12 + month + 1, 12)
    return date(year, month + 1, 1)


def test_ages_between_dates_are_completed_days_months_and_years() -> None:
    births = [date(2023, 3, 1) + timedelta(days=day) for day in range(366)]  # the last on 29 February
    for birth in births:
        changes = [day_later(birth, months) for months in range(1, 27)]
        study, months, last = birth, 0, -1.0
        while study < changes[-1]:
            if study == changes[months]:
                months += 1
            years = age_between(birth, study)
            assert years is not None
            assert years > last, "every day makes older"
            assert (years >= months // 12) and (years < months // 12 + 1)
            if months >= 24:
                assert counted(years) == (months // 12, "Y"), (birth, study)
            elif months:
                assert counted(years) == (months, "M"), (birth, study)
            else:
                assert counted(years) == ((study - birth).days, "D"), (birth, study)
            study, last = study + timedelta(days=1), years


def test_who_was_born_on_a_leap_day_is_a_year_older_on_the_first_of_march() -> None:
    birth = date(2024, 2, 29)
    ages = {day: age_between(birth, day) for day in (date(2025, 2, 28), date(2025, 3, 1), date(2028, 2, 29))}
    assert ages[date(2025, 2, 28)] == pytest.approx(1, abs=0.01)
    assert [counted(age) for age in ages.values() if age is not None] == [(11, "M"), (12, "M"), (4, "Y")]
    assert (ages[date(2025, 3, 1)], ages[date(2028, 2, 29)]) == (1, 4)


def test_days_that_were_stored_by_366_to_the_year_are_said_as_the_same_days() -> None:
    for days in range(31):
        assert counted(days / 366) == (days, "D")


@pytest.mark.parametrize(
    ("birth", "study"),
    [
        (None, date(2020, 1, 1)),
        (date(2020, 1, 1), None),
        (date(1900, 1, 1), date(2020, 1, 1)),
        (date(2020, 1, 2), date(2020, 1, 1)),
        (date(1898, 5, 5), date(1901, 1, 1)),
    ],
)
def test_placeholders_and_impossible_dates_give_no_age(birth: date | None, study: date | None) -> None:
    assert age_between(birth, study) is None


@pytest.mark.parametrize(
    ("years", "words"),
    [
        (62.9, "62 years old"),
        (1.5, "18 months old"),
        (1 / 12, "1 month old"),
        (5 / 365.25, "5 days old"),
        (7 * (1 / 12), "7 months old"),
        (42 / 365.25, "6 weeks old"),
        (1 / 365.25, "1 day old"),
    ],
)
def test_an_age_is_said_in_the_unit_people_use(years: float, words: str) -> None:
    assert say_age(years) == words
