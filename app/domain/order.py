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

    def after_reading(self, *, before: timedelta, lane: Lane | None, read_before: bool) -> timedelta:
        """The network's credit after one more reading.

        The first reading replaces the unknown credit; a later one never decreases it, so that re-screening or
        a promoted bundle cannot push an unsigned study back.
        """
        now = self.of_network(lane)
        return max(before, now) if read_before else now


def rank_at(*, arrived_at: datetime, order_credit: timedelta, network_credit: timedelta) -> datetime:
    """Where the study stands; never later than its arrival."""
    return arrived_at - max(order_credit, network_credit, timedelta(0))


_SEVERITY = {Lane.RULE_OUT: 0, Lane.ABSTAIN: 1, Lane.RULE_IN: 2}


def gravest(lanes: list[Lane]) -> Lane | None:
    """The lane that gives the most credit; None for an empty list."""
    return max(lanes, key=_SEVERITY.__getitem__, default=None)
