"""What a reader has filled in on the study page, to be shown again: refused, taken back, or to be amended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from app.domain.roles import Caller
from app.queries.studies import StudyShown


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the reader had filled in when a form was refused; it is shown again."""

    findings: dict[str, str] = field(default_factory=dict)
    comment: str = ""
    marks: str = "[]"
    """JSON, as the form holds it."""
    changes: tuple[str, ...] = ()
    corrects: bool = True
    """False where all it holds is that the network was right."""
    adjudicates: bool | None = None
    """Whether it was to settle a disagreement; None where that was not asked."""


@dataclass(frozen=True, kw_only=True)
class Aside:
    """What was filled in of the page's other forms when one of them was refused; it is shown again."""

    reason: str = ""
    """Why a study was to be taken over."""
    question: str = ""
    colleague: str = ""
    """The id of whoever was to be asked the question."""

    @property
    def asks(self) -> bool:
        """A question to a colleague was refused."""
        return bool(self.question or self.colleague)


def taken_back(shown: StudyShown, caller: Caller) -> Draft | None:
    """What the caller had signed, where taking it back was the last that happened to the study."""
    last = next((line for line in shown.history if line.review), None)
    if last is None or last.review is None or last.kind != "withdrawal":
        return None
    said = last.review
    if said.reviewer_id != caller.actor.id:
        return None
    return Draft(
        findings={name: str(value) for name, value in said.findings.items()},
        comment=said.comment,
        marks=json.dumps(said.marks),
        corrects=said.verdict != "confirmed" or bool(said.comment),
    )


def standing(shown: StudyShown) -> Draft:
    """An amendment begins with what stands."""
    if not shown.reviews:
        return Draft()
    last = shown.reviews[0]
    findings = {name: str(said) for name, said in last.findings.items()}
    return Draft(findings=findings, marks=json.dumps(last.marks))
