"""Cases: what a signed study is later found by, kept with the signature and found once that has settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, false, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.states import Outcome
from app.records import ConfirmedCase, ImageReading, Reading
from app.records.base import now

SETTLED_AFTER = timedelta(seconds=10)
"""A signature counts once it has stood so long: until then its reader may still think better of it."""


def keep(session: Session, *, study_id: UUID, reading: Reading | None) -> None:
    """What the signed reading's network made of the study's most telling image waits for `settle`.

    A study that is signed without a reading, or by a bundle that gives no features, can be found by none.
    The vector itself never leaves the database; a reading that is signed again leaves the index alone.
    """
    telling = most_telling(session, reading) if reading is not None else None
    if telling is None:
        session.execute(delete(ConfirmedCase).where(ConfirmedCase.study_id == study_id))
        return
    case = insert(ConfirmedCase).from_select(
        ["study_id", "image_id", "reading_id", "bundle_sha256", "embedding", "kept_at", "settled"],
        select(
            literal(study_id),
            ImageReading.image_id,
            ImageReading.reading_id,
            Reading.bundle_sha256,
            ImageReading.embedding,
            literal(now()),
            false(),
        )
        .join(Reading, Reading.id == ImageReading.reading_id)
        .where(ImageReading.id == telling),
        include_defaults=False,
    )
    written = {name: case.excluded[name] for name in ("image_id", "reading_id", "bundle_sha256", "embedding")}
    session.execute(
        case.on_conflict_do_update(
            index_elements=[ConfirmedCase.study_id],
            set_=written | {"kept_at": case.excluded.kept_at, "settled": False},
            where=ConfirmedCase.reading_id != case.excluded.reading_id,
        )
    )


def settle(session: Session, *, limit: int) -> int:
    """The cases that have waited longest, if long enough, enter the index; returns how many did."""
    waited = (
        select(ConfirmedCase.study_id)
        .where(~ConfirmedCase.settled, ConfirmedCase.kept_at <= now() - SETTLED_AFTER)
        .order_by(ConfirmedCase.kept_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    settled = session.scalars(
        update(ConfirmedCase)
        .where(ConfirmedCase.study_id.in_(waited.scalar_subquery()))
        .values(settled=True)
        .returning(ConfirmedCase.study_id)
        .execution_options(synchronize_session=False)
    )
    return len(settled.all())


def most_telling(session: Session, reading: Reading) -> UUID | None:
    """Id of the image reading that gave the study its finding; None where no screened image has features."""
    if reading.outcome != Outcome.SCREENED.value or reading.bundle_sha256 is None:
        return None
    rows = session.execute(
        select(ImageReading.id, ImageReading.findings)
        .where(ImageReading.reading_id == reading.id, ImageReading.embedding.is_not(None))
        .order_by(ImageReading.id)
    ).all()
    telling = max(rows, key=lambda row: _says(row.findings), default=None)
    return telling.id if telling is not None else None


def _says(findings: dict[str, Any]) -> float:
    """The largest probability of a finding that ranks studies."""
    spoken = (finding["probability"] for finding in findings.values() if not finding.get("research"))
    return max(spoken, default=0.0)
