"""Studies on their way through screening, and what stands of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands import screening
from app.commands.intake import Admission
from app.commands.registry import Lacking
from app.commands.screening import StudyToScreen
from app.domain.order import Credits, Lane
from app.domain.states import Outcome
from app.records import Study
from tests.builders import a_png, admit, claimed, image_read, record

SENTENCE = "The network could not be loaded."


def a_study(session: Session, blobs: Blobs, data: bytes | None = None, **arguments: Any) -> Admission:
    return admit(session, blobs, data or a_png(), **arguments)


def row(session: Session, admission: Admission) -> Study:
    session.flush()
    session.expire_all()
    return session.get_one(Study, admission.study_id)


def hours_earlier(study: Study) -> float:
    return (study.arrived_at - study.rank_at).total_seconds() / 3600


def read_as(session: Session, lane: Lane | None) -> None:
    """The next study is claimed and read."""
    [study] = claimed(session, size=1)
    outcome = Outcome.SCREENED if lane else Outcome.WITHHELD
    reason = None if lane else "Not a chest."
    images = [
        image_read(image.image_id, lane=lane or Lane.ABSTAIN, outcome=outcome, reason=reason)
        for image in study.images
    ]
    record(session, study, *images)


def fail_attempt(
    session: Session,
    study: StudyToScreen,
    *,
    error: str = SENTENCE,
    attempts: int = 1,
    backoff: timedelta = timedelta(0),
    lacking: Lacking | None = None,
) -> None:
    """The attempt at the claimed study failed; after so many it is given up."""
    screening.postpone(
        session,
        study=study,
        error=error,
        attempts=attempts,
        backoff=backoff,
        credits=Credits(),
        lacking=lacking,
    )
