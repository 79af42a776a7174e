"""PatientAge in all its forms, and the age between two dates."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dicom.age import OLDEST_YEARS, age_between, parse_patient_age, say_age

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
    [(62.9, "62 years old"), (1.5, "18 months old"), (1 / 12, "1 month old"), (5 / 365.25, "5 days old")],
)
def test_an_age_is_said_in_the_unit_people_use(years: float, words: str) -> None:
    assert say_age(years) == words
