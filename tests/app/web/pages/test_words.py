"""How the pages say names, ages and times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from app.settings import settings
from app.web.pages import words


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
    [(None, ""), (3.0, "3 y"), (2.99, "2 y"), (1.5, "18 mo"), (0.25, "3 mo"), (0.03, "10 d"), (0.0, "0 d")],
)
def test_small_children_are_months_and_days_old(years: float | None, said: str) -> None:
    assert words.say_age(years) == said


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
