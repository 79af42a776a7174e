"""Which part of the worklist a reader wants to see: the filters of the address bar."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, and_, or_

from app.domain.order import Lane
from app.domain.states import State
from app.errors import BadRequest
from app.records import Study
from app.records.base import now

UNREAD = "unread"
LANES = (*(lane.value for lane in Lane), UNREAD)
STATES = tuple(state.value for state in State if state not in (State.SIGNED, State.AMENDED))
HOLDERS = ("me", "others", "nobody")
_LONGEST_TEXT = 64
_LONGEST_AGE = 150.0
_MOST_HOURS = 24 * 366


@dataclass(frozen=True, kw_only=True)
class WorklistFilter:
    """What a study must be to be shown; None asks nothing."""

    lane: str | None = None
    """A lane, or `unread`: not read by the network."""
    state: str | None = None
    finding: str | None = None
    """The network calls it present; a blind study passes, as it does under every lane."""
    station: str | None = None
    """StationName (0008,1010)."""
    age_from: float | None = None
    age_below: float | None = None
    """Years; a study of unknown age passes neither."""
    hours: float | None = None
    """Arrived within the last so many hours."""
    held: str | None = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The parameters of an address that are filters."""
        return tuple(field.name for field in fields(cls))

    @property
    def is_empty(self) -> bool:
        """True where every study passes."""
        return self == WorklistFilter()

    def query(self, **others: str | None) -> str:
        """As the address bar holds it, with the other parameters; what asks nothing is left out."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)} | others
        return urlencode(
            {
                name: f"{value:g}" if isinstance(value, float) else value
                for name, value in asked.items()
                if value is not None
            }
        )

    def conditions(
        self, *, reader: str, findings: ColumnElement[Any] | Any, hidden: ColumnElement[bool]
    ) -> list[ColumnElement[bool]]:
        """As SQL over studies and the findings of each study's standing reading.

        A study that was read and whose opinion is `hidden` passes every lane and every finding: so it is
        neither missed under a filter nor told by one.
        """
        kept_quiet = and_(hidden, Study.lane.is_not(None))
        wanted: list[ColumnElement[bool]] = []
        if self.lane is not None:
            wanted.append(
                Study.lane.is_(None) if self.lane == UNREAD else or_(Study.lane == self.lane, kept_quiet)
            )
        if self.state is not None:
            wanted.append(Study.state == self.state)
        if self.finding is not None:
            wanted.append(or_(findings[self.finding]["present"].as_boolean(), kept_quiet))
        if self.station is not None:
            wanted.append(Study.station_name == self.station)
        if self.age_from is not None:
            wanted.append(Study.age_years >= self.age_from)
        if self.age_below is not None:
            wanted.append(Study.age_years < self.age_below)
        if self.hours is not None:
            wanted.append(Study.arrived_at >= now() - timedelta(hours=self.hours))
        held = and_(Study.state == State.CLAIMED.value, Study.claim_expires_at > now())
        if self.held == "me":
            wanted.append(and_(held, Study.claimed_by_name == reader))
        elif self.held == "others":
            wanted.append(and_(held, Study.claimed_by_name != reader))
        elif self.held == "nobody":
            wanted.append(or_(Study.state != State.CLAIMED.value, Study.claim_expires_at <= now()))
        return wanted


def filter_of(asked: dict[str, str]) -> WorklistFilter:
    """The filter of an address; empty values ask nothing. Raises BadRequest for what is no filter's value."""
    given = {name: value.strip() for name, value in asked.items() if value.strip()}
    return WorklistFilter(
        lane=_one_of(given, "lane", LANES),
        state=_one_of(given, "state", STATES),
        finding=_text(given, "finding"),
        station=_text(given, "station"),
        age_from=_number(given, "age_from", _LONGEST_AGE),
        age_below=_number(given, "age_below", _LONGEST_AGE),
        hours=_number(given, "hours", _MOST_HOURS),
        held=_one_of(given, "held", HOLDERS),
    )


def _one_of(given: dict[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"The filter {name} is one of {', '.join(choices)}.")
    return value


def _text(given: dict[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is not None and (len(value) > _LONGEST_TEXT or "\0" in value):
        raise BadRequest(f"The filter {name} has at most {_LONGEST_TEXT} characters.")
    return value


def _number(given: dict[str, str], name: str, most: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise BadRequest(f"The filter {name} is a number from 0 to {most:g}.")
    return number
