"""Bounded overtaking, as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.order import Credits, Lane, Priority, gravest, rank_at

_MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_LANES = st.sampled_from([None, *Lane])
_PRIORITIES = st.sampled_from(list(Priority))
_CREDITS = Credits()


def _place(arrived_at: datetime, lane: Lane | None, priority: Priority) -> datetime:
    return rank_at(
        arrived_at=arrived_at,
        order_credit=_CREDITS.of_order(priority),
        network_credit=_CREDITS.of_network(lane),
    )


@given(_MOMENTS, _LANES, _PRIORITIES, _MOMENTS, _LANES, _PRIORITIES)
def test_no_study_is_overtaken_by_one_that_came_more_than_the_largest_credit_later(
    one_at: datetime,
    one: Lane | None,
    one_order: Priority,
    two_at: datetime,
    two: Lane | None,
    two_order: Priority,
) -> None:
    if two_at - one_at > _CREDITS.stat:
        assert _place(one_at, one, one_order) < _place(two_at, two, two_order)


@given(_MOMENTS, _LANES, _PRIORITIES)
def test_a_place_is_never_later_than_the_arrival(at: datetime, lane: Lane | None, priority: Priority) -> None:
    assert _place(at, lane, priority) <= at


@given(st.lists(st.sampled_from(list(Lane)), min_size=1, max_size=8))
def test_after_the_first_reading_the_credit_never_decreases(lanes: list[Lane]) -> None:
    given, credit = None, timedelta(0)
    for lane in lanes:
        given = _CREDITS.after_reading(given=given, lane=lane)
        after = _CREDITS.of_study(given=given, is_read=True)
        assert after >= max(credit, _CREDITS.of_network(lane))
        credit = after


@given(st.lists(st.tuples(_LANES, st.booleans()), min_size=1, max_size=8))
def test_while_anything_is_unread_the_credit_is_at_least_that_of_an_unread_study(
    readings: list[tuple[Lane | None, bool]],
) -> None:
    given, spoken = None, []
    for lane, all_read in readings:
        given = _CREDITS.after_reading(given=given, lane=lane)
        spoken += [] if lane is None else [_CREDITS.of_network(lane)]
        credit = _CREDITS.of_study(given=given, is_read=lane is not None and all_read)
        if lane is None or not all_read:
            assert credit == max([_CREDITS.unknown, *spoken])
        else:
            assert credit == max(spoken)  # whatever was unread before pins nothing


@given(_MOMENTS, st.sampled_from(list(Lane)))
def test_stat_stands_above_anything_the_network_gives(at: datetime, lane: Lane) -> None:
    assert _place(at, lane, Priority.STAT) < _place(at, Lane.RULE_IN, Priority.ROUTINE)


@given(_MOMENTS, st.sampled_from(list(Lane)))
def test_the_silence_of_the_network_pushes_nobody_behind(at: datetime, lane: Lane) -> None:
    assert _place(at, None, Priority.ROUTINE) <= _place(at, lane, Priority.ROUTINE)


def test_the_gravest_lane_decides() -> None:
    assert gravest([Lane.RULE_OUT, Lane.RULE_IN, Lane.ABSTAIN]) is Lane.RULE_IN
    assert gravest([]) is None
    assert Credits(rule_in=timedelta(hours=1)).of_network(Lane.RULE_IN) == timedelta(hours=1)
