"""How the pages say names, ages and times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from app import language
from app.dicom.age import parse_patient_age, say_age
from app.domain.roles import Permission, Role, Scope
from app.domain.states import State
from app.settings import settings
from app.told import told
from app.web.pages import words
from app.web.pages.terms import TERMS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Q^Dr^Jr", "Doe, Jane Q (Dr Jr)"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou · 山田, 太郎 · やまだ, たろう"),
        ("=山田^太郎", "山田, 太郎"),
        ("Buc^Jérôme", "Buc, Jérôme"),
        ("^^^^", "No name"),
        ("", "No name"),
        (None, "No name"),
    ],
)
def test_a_name_is_said_in_every_script_it_has(name: str | None, said: str) -> None:
    assert words.say_name(name) == said


@pytest.mark.parametrize(
    ("years", "said"),
    [
        (None, ""),
        (3.0, "3 y"),
        (2.99, "2 y"),
        (1.5, "18 mo"),
        (0.25, "3 mo"),
        (0.03, "10 d"),
        (0.0, "0 d"),
        (42 / 365.25, "6 w"),
    ],
)
def test_small_children_are_months_and_days_old(years: float | None, said: str) -> None:
    assert words.say_age(years) == said


@pytest.mark.parametrize("unit", ["D", "W", "M", "Y"])
def test_an_age_of_the_header_is_the_same_on_pages_and_in_the_reason_for_withholding(unit: str) -> None:
    for number in range(1, 100):
        years = parse_patient_age(f"{number:03d}{unit}")
        assert years is not None
        count, short = words.say_age(years).split()
        said, long, _old = told(say_age(years)).split()
        assert said == count
        assert long.removesuffix("s") == {"d": "day", "w": "week", "mo": "month", "y": "year"}[short]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 00"), (200_000, "2 d 7 h")],
)
def test_a_wait_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert words.say_duration(seconds) == said


def test_moments_are_told_in_the_zone_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTREAD_TIME_ZONE", "Asia/Tokyo")
    settings.cache_clear()
    try:
        assert words.say_full_moment(datetime(2026, 11, 22, 20, 5, tzinfo=UTC)) == "2026-11-23 05:05:00 JST"
        monkeypatch.setenv("FIRSTREAD_TIME_ZONE", "Nowhere/Atall")
        settings.cache_clear()
        assert words.say_full_moment(datetime(2026, 11, 22, 20, 5, tzinfo=UTC)).endswith("20:05:00 UTC")
    finally:
        settings.cache_clear()


def test_today_needs_no_date_and_another_year_does() -> None:
    now = datetime.now(UTC)
    assert words.say_moment(now) == f"{now:%H:%M}"
    assert str((now - timedelta(days=800)).year) in words.say_moment(now - timedelta(days=800))
    assert words.say_moment(None) == "never"


@pytest.mark.parametrize(
    ("time", "said"),
    [("140509.123", "14:05"), ("1405", "14:05"), ("14:05:09", "14:05"), ("14", ""), (None, "")],
)
def test_a_dicom_time_is_said_in_minutes(time: str | None, said: str) -> None:
    assert words.say_time(time) == said


def test_a_date_is_said_with_the_month_in_letters() -> None:
    assert words.say_date(date(2026, 3, 1)) == words.say_date("2026-03-01") == "1 Mar 2026"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A site whose clocks change: on 29 March and 25 October 2026."""
    monkeypatch.setenv("FIRSTREAD_TIME_ZONE", "Europe/Berlin")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    ("moment", "said", "full"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "29 Mar 01:59", "2026-03-29 01:59:00 CET"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "29 Mar 03:00", "2026-03-29 03:00:00 CEST"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "25 Oct 02:30", "2026-10-25 02:30:00 CEST"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "25 Oct 02:30", "2026-10-25 02:30:00 CET"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "1 Jan 2027 00:30", "2027-01-01 00:30:00 CET"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_moments_are_right_around_a_change_of_the_clocks(
    monkeypatch: pytest.MonkeyPatch, moment: datetime, said: str, full: str
) -> None:
    monkeypatch.setattr(words, "now", lambda: datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert words.say_moment(moment) == said
    assert words.say_full_moment(moment) == full


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "moment", "said"),
    [
        (
            datetime(2026, 3, 28, 23, 10, tzinfo=UTC),
            datetime(2026, 3, 28, 22, 50, tzinfo=UTC),
            "28 Mar 23:50",
        ),
        (datetime(2026, 3, 28, 23, 10, tzinfo=UTC), datetime(2026, 3, 28, 23, 0, tzinfo=UTC), "00:00"),
        (datetime(2026, 10, 25, 22, 30, tzinfo=UTC), datetime(2026, 10, 24, 22, 0, tzinfo=UTC), "00:00"),
        (
            datetime(2026, 12, 31, 23, 30, tzinfo=UTC),
            datetime(2026, 12, 31, 22, 59, tzinfo=UTC),
            "31 Dec 2026 23:59",
        ),
    ],
    ids=["yesterday", "midnight", "a day of 25 hours", "last year"],
)
def test_today_and_this_year_are_the_sites(
    monkeypatch: pytest.MonkeyPatch, now: datetime, moment: datetime, said: str
) -> None:
    monkeypatch.setattr(words, "now", lambda: now)
    assert words.say_moment(moment) == said


def test_readers_of_chinese_are_told_dates_ages_and_names_as_they_write_them() -> None:
    with language.speaking("zh_Hans"):
        assert words.say_date("2026-03-01") == "2026年3月1日"
        assert words.say_age(3.0) == "3 岁"
        assert words.say_age(0.5) == "6 个月"
        assert words.say_duration(3900) == "1 小时 05 分"
        assert words.say_name("Wang^XiaoDong=王^小东") == "王小东 · Wang, XiaoDong"
        assert words.say_name("王^小东^^^博士") == "王小东 (博士)"
        assert words.say_name("Doe^Jane") == "Doe, Jane"
        assert words.say_name("") == "姓名未知"
        assert words.say_sex("F") == "女"
        assert words.say_moment(None) == "从未"


def test_a_name_from_right_to_left_is_kept_apart_from_its_row() -> None:
    assert words.say_name("שרון^דבורה") == "\u2068שרון, דבורה\u2069"
    assert words.say_name("Doe^\u202eJane\u2069") == "Doe, Jane", "marks it brings along would reach further"
    assert words.say_name("Yamada^Tarou=山田^太郎") == "Yamada, Tarou · 山田, 太郎"


def test_no_p_is_said_to_be_nought() -> None:
    assert [words.say_p(value) for value in (0.0, 1e-9, 0.001, 0.0342, 0.5)] == [
        "< 0.001",
        "< 0.001",
        "= 0.001",
        "= 0.034",
        "= 0.5",
    ]


def test_every_name_of_a_list_of_ours_is_a_term_of_the_catalogue() -> None:
    shown = {str(name) for names in (Role, Scope, Permission, State) for name in names}
    assert shown - set(TERMS) == set()
