"""The life of a study as a table: verb, from, to, who may cause it, and the audit action it leaves.

`docs/states.md` is generated from this table (`firstread docs states`) and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a study is in its life."""

    ADMITTED = "admitted"
    SCREENING = "screening"
    SCREENED = "screened"
    WITHHELD = "withheld"
    FAILED = "failed"
    CLAIMED = "claimed"
    SIGNED = "signed"
    AMENDED = "amended"
    REOPENED = "reopened"


class Outcome(StrEnum):
    """What screening ends in, for an image and for its study."""

    SCREENED = "screened"
    WITHHELD = "withheld"
    FAILED = "failed"


@dataclass(frozen=True)
class Transition:
    """One arrow of the diagram; `owner` is who causes it."""

    verb: str
    sources: tuple[State, ...]
    target: State | None
    """None where the study returns to the state it was claimed from."""
    owner: str
    audit: str


READ_BY_NETWORK = (State.SCREENED, State.WITHHELD, State.FAILED)
DONE = (State.SIGNED, State.AMENDED)
CLAIMABLE = (*READ_BY_NETWORK, State.REOPENED)

TRANSITIONS: tuple[Transition, ...] = (
    Transition("screen", (State.ADMITTED,), State.SCREENING, "worker", "study.screening"),
    Transition("retry", (State.FAILED,), State.SCREENING, "worker", "study.screening"),
    Transition("give back", (State.SCREENING,), State.ADMITTED, "sweeper", "study.screening-abandoned"),
    Transition("record", (State.SCREENING,), State.SCREENED, "worker", "study.screened"),
    Transition("withhold", (State.SCREENING,), State.WITHHELD, "worker", "study.withheld"),
    Transition("fail", (State.SCREENING,), State.FAILED, "worker", "study.failed"),
    Transition("late image", READ_BY_NETWORK, State.ADMITTED, "intake", "image.admitted"),
    Transition("claim", CLAIMABLE, State.CLAIMED, "reader", "study.claimed"),
    Transition("release", (State.CLAIMED,), None, "reader", "study.released"),
    Transition("expire", (State.CLAIMED,), None, "sweeper", "study.claim-expired"),
    Transition("sign", (State.CLAIMED,), State.SIGNED, "reader", "study.signed"),
    Transition("amend", DONE, State.AMENDED, "reader", "study.amended"),
    Transition("new image", DONE, State.REOPENED, "intake", "study.reopened"),
)


def transition(verb: str) -> Transition:
    """The transition of that verb; KeyError for a verb the table lacks."""
    for row in TRANSITIONS:
        if row.verb == verb:
            return row
    raise KeyError(verb)


def may(verb: str, state: State) -> bool:
    """True when a study in `state` can undergo `verb`."""
    return state in transition(verb).sources


def diagram() -> str:
    """The table as a Mermaid state diagram, one line per arrow, in the table's order."""
    lines = ["stateDiagram-v2", "    [*] --> admitted: admit"]
    for row in TRANSITIONS:
        for source in row.sources:
            for target in (row.target,) if row.target else CLAIMABLE:
                lines.append(f"    {source.value} --> {target.value}: {row.verb}")
    return "\n".join(lines) + "\n"
