"""The order of the worklist: bounded overtaking.

`rank_at = arrived_at - credit` with `credit = max(order's credit, network's credit)`. The worklist is
sorted by `rank_at` ascending, so no study is overtaken by one that arrived more than the largest credit
later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Lane(StrEnum):
    """What the network dares to say of a finding."""

    RULE_IN = "rule-in"
    ABSTAIN = "abstain"
    RULE_OUT = "rule-out"


class Priority(StrEnum):
    """What the modality or the order asked for."""

    ROUTINE = "routine"
    STAT = "stat"


@dataclass(frozen=True, kw_only=True)
class Credits:
    """How much earlier than it came a study is treated as having come."""

    rule_in: timedelta = timedelta(hours=8)
    abstain: timedelta = timedelta(hours=2)
    unknown: timedelta = timedelta(hours=8)
    stat: timedelta = timedelta(hours=24)

    def of_order(self, priority: Priority) -> timedelta:
        """The credit the order gives."""
        return self.stat if priority is Priority.STAT else timedelta(0)

    def of_network(self, lane: Lane | None) -> timedelta:
        """The credit the network's lane gives; None is a study the network has not read."""
        match lane:
            case None:
                return self.unknown
            case Lane.RULE_IN:
                return self.rule_in
            case Lane.ABSTAIN:
                return self.abstain
            case Lane.RULE_OUT:
                return timedelta(0)

    def after_reading(self, *, given: timedelta | None, lane: Lane | None) -> timedelta | None:
        """The largest credit that the study's readings have given; None while none has named a lane.

        `given` is that before this reading. It never decreases, so that re-screening or a promoted bundle
        cannot push an unsigned study back.
        """
        if lane is None:
            return given
        return max(given or timedelta(0), self.of_network(lane))

    def of_study(self, *, given: timedelta | None, is_read: bool) -> timedelta:
        """The network's credit of a study whose readings have given `given` (docs/decisions/0005).

        `is_read` is False while an image waits to be read, or where no image could be: then the unknown
        credit stands in for the reading that is missing, and ends with it.
        """
        if given is None or not is_read:
            return max(given or timedelta(0), self.unknown)
        return given


def rank_at(*, arrived_at: datetime, order_credit: timedelta, network_credit: timedelta) -> datetime:
    """Where the study stands; never later than its arrival."""
    return arrived_at - max(order_credit, network_credit, timedelta(0))


_SEVERITY = {Lane.RULE_OUT: 0, Lane.ABSTAIN: 1, Lane.RULE_IN: 2}


def gravest(lanes: list[Lane]) -> Lane | None:
    """The lane that gives the most credit; None for an empty list."""
    return max(lanes, key=_SEVERITY.__getitem__, default=None)
