"""Which of a candidate's evaluations has the last word: nobody asks test after test until one is passed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import registry
from app.records import Evaluation


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
        if evaluation.may_be_promoted:
            most_passed = max(most_passed, patients)
        elif patients > most_passed:
            return evaluation
    return next(iter(newest.values()), None)
