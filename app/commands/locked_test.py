"""How often a locked test was used: whoever asks it often enough finds a network that suits it by chance."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.snapshot import NEW_TO_BE_REFRESHED
from app.records import Evaluation, JudgingPatient


def uses_of(session: Session, *, test_sha256: str) -> int:
    """Evaluations on this test, or on one that is nearly the same (`alike`)."""
    tests = alike(session, test_sha256=test_sha256)
    return (
        session.scalar(select(func.count()).select_from(Evaluation).where(Evaluation.test_sha256.in_(tests)))
        or 0
    )


def alike(session: Session, *, test_sha256: str) -> frozenset[str]:
    """This test, and every other in which more than 80 of 100 of its patients judged: a test is only
    refreshed where at least 20 of 100 judge for the first time.
    """
    own = select(JudgingPatient.patient_key).where(JudgingPatient.test_sha256 == test_sha256)
    patients = session.scalar(select(func.count()).select_from(own.subquery())) or 0
    others = (
        select(JudgingPatient.test_sha256)
        .where(JudgingPatient.patient_key.in_(own))
        .group_by(JudgingPatient.test_sha256)
        .having(func.count() > (1 - NEW_TO_BE_REFRESHED) * patients)
    )
    return frozenset(session.scalars(others)) | {test_sha256}
