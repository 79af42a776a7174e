"""How often a locked test was used: whoever asks it often enough finds a network that suits it by chance."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.snapshot import NEW_TO_BE_REFRESHED
from app.records import Evaluation, JudgingPatient, Snapshot


def uses_of(session: Session, *, test_sha256: str) -> int:
    """Evaluations on this test, or on one that is nearly the same (`alike`)."""
    tests = alike(session, test_sha256=test_sha256)
    return (
        session.scalar(select(func.count()).select_from(Evaluation).where(Evaluation.test_sha256.in_(tests)))
        or 0
    )


_compared: dict[tuple[str, str], tuple[int, frozenset[str], frozenset[str]]] = {}
"""Of a database and a test: its patients, the tests it was compared with, and those of them that are alike.

Who judges in a test is never changed, and to compare two takes a while.
"""


def alike(session: Session, *, test_sha256: str) -> frozenset[str]:
    """This test, and every other in which more than 80 of 100 of its patients judged: a test is only
    refreshed where at least 20 of 100 judge for the first time.
    """
    own = select(JudgingPatient.patient_key).where(JudgingPatient.test_sha256 == test_sha256)
    patients = session.scalar(select(func.count()).select_from(own.subquery())) or 0
    there = frozenset(filter(None, session.scalars(select(Snapshot.test_sha256).distinct())))
    key = (str(session.get_bind().engine.url), test_sha256)
    counted, compared, same = _compared.get(key, (patients, frozenset(), frozenset()))
    if counted != patients:
        compared, same = frozenset(), frozenset()
    if new := there - compared:
        others = (
            select(JudgingPatient.test_sha256)
            .where(JudgingPatient.patient_key.in_(own), JudgingPatient.test_sha256.in_(new))
            .group_by(JudgingPatient.test_sha256)
            .having(func.count() > (1 - NEW_TO_BE_REFRESHED) * patients)
        )
        same |= frozenset(session.scalars(others))
        _compared[key] = (patients, there, same)
    return (same & there) | {test_sha256}
