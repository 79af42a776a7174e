"""Why a study stands where it stands, in sentences."""

from __future__ import annotations

from typing import Any

from app.domain.order import Lane, Priority
from app.domain.sentence import sentence
from app.domain.states import Outcome
from app.records import Study
from app.settings import settings

NOT_READ = sentence("Not read by the network.")
BLIND = sentence("Read by the network; what it says is shown once you have signed.")


def why_here(study: Study, *, outcome: str | None, findings: dict[str, Any], hours: float | None) -> str:
    """The reason for the study's place, in sentences a radiologist can check.

    `outcome` is that of its latest reading, whatever has become of the study since: held and signed, it was
    withheld or failed as before. `hours` is None where the network's opinion is hidden from whoever asks:
    the credit would tell it.
    """
    if study.lane is None:
        first = (
            sentence("Not yet read by the network.")
            if study.screening_due
            else {
                Outcome.WITHHELD.value: NOT_READ,
                Outcome.FAILED.value: sentence("Not read by the network: screening failed."),
            }.get(outcome or "", sentence("Not yet read by the network."))
        )
    elif hours is None:
        first = BLIND
    else:
        said_findings = "; ".join(
            _finding(name, finding) for name, finding in findings.items() if not finding.get("research")
        )
        first = sentence(f"Network: {said_findings}.")
    if study.priority == "stat":
        first = sentence("STAT order.") + " " + first
    return f"{first} {why_placed(study, hours=hours)}".strip()


def why_placed(study: Study, *, hours: float | None) -> str:
    """By how much the study is placed before its arrival, and why where its latest reading does not tell."""
    waits = study.lane is not None and study.screening_due
    why = [sentence("An image of it waits to be read.")] if waits else []
    if not waits and hours is not None and _has_fallen(study):
        why.append(sentence("An earlier reading placed it there."))
    return " ".join([*why, placement(hours)]).strip()


def _has_fallen(study: Study) -> bool:
    """Its latest reading alone would place it later, and its order does not place it."""
    if study.lane is None or study.given_credit is None or study.priority == Priority.STAT:
        return False
    return study.given_credit > settings().credits.of_network(Lane(study.lane))


def _finding(name: str, finding: dict[str, Any]) -> str:
    said_name, probability = name, finding["probability"]
    match Lane(finding["lane"]):
        case Lane.RULE_IN:
            return sentence(f"{said_name} likely ({probability:.2f})")
        case Lane.ABSTAIN:
            return sentence(f"{said_name} uncertain ({probability:.2f})")
        case Lane.RULE_OUT:
            return sentence(f"{said_name} unlikely ({probability:.2f})")


def placement(hours: float | None) -> str:
    """By how many hours before its arrival a study is placed, in a sentence; empty where that is hidden."""
    if hours is None:
        return ""
    if hours < 1 / 60:
        return sentence("Placed by its time of arrival.")
    return sentence(f"Placed as if it had arrived {hours:g} h earlier.")


def in_words(finding: dict[str, Any]) -> str:
    """The lane of a finding in a word or two."""
    match Lane(finding["lane"]):
        case Lane.RULE_IN:
            return sentence("likely")
        case Lane.ABSTAIN:
            return sentence("uncertain")
        case Lane.RULE_OUT:
            return sentence("unlikely")
