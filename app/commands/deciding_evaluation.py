"""Which of a candidate's evaluations has the last word: nobody asks test after test until one is passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import registry
from app.records import Bundle, Evaluation


def deciding_evaluation(session: Session, *, sha256: str) -> Evaluation | None:
    """Beside the bundle that reads now; None where there was none.

    Of every locked test the newest evaluation counts. One that did not pass decides, until the candidate
    passes on a test with at least as many patients; where none is left so, the newest does.
    """
    newest: dict[str, Evaluation] = {}
    for evaluation in session.scalars(
        select(Evaluation)
        .where(
            Evaluation.candidate_sha256 == sha256,
            Evaluation.active_sha256 == registry.active_bundle(session),
        )
        .order_by(Evaluation.evaluated_at.desc(), Evaluation.id.desc())
    ):
        newest.setdefault(evaluation.test_sha256, evaluation)
    most_passed = 0
    for evaluation in newest.values():
        patients = int(evaluation.outcome["patients"])
        if evaluation.may_be_promoted and judges_every_finding(evaluation.outcome):
            most_passed = max(most_passed, patients)
        elif patients > most_passed:
            return evaluation
    return next(iter(newest.values()), None)


def judges_every_finding(outcome: Mapping[str, Any]) -> bool:
    """Whether the gate had all its lines on every finding by which the candidate ranks patients: an older
    program's had them on one alone, so that another could pass unseen, and on a new one none under
    acquisition changes.
    """
    others = outcome.get("others", ())
    judged = {outcome.get("finding"), *(one["finding"] for one in others)}
    return (
        "findings" in outcome
        and judged.issuperset(outcome["findings"]["candidate"])
        and all("stress" in one for one in others if "own" in one)
    )


def asked_for_whom(session: Session, evaluation: Evaluation) -> bool:
    """False where the gate had no such line yet, and the two bundles state different uses."""
    if any(line["name"] == "intended use" for line in evaluation.gate):
        return True
    both = (evaluation.active_sha256, evaluation.candidate_sha256)
    active, candidate = (session.get_one(Bundle, sha256).manifest.get("intended_use") for sha256 in both)
    return bool(active == candidate)
