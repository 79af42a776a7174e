"""The network's readings of a batch of studies are stored, and the studies placed by them.

A statement for all of them wherever there can be one: study by study, the way to the database and back would
take longer than the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.commands import audit, delivery, leases
from app.commands.ranking import announce, place
from app.commands.readings import image_reading
from app.commands.screening import Recorded, StudyToScreen, count_of, settle
from app.domain.order import Credits, Lane, gravest
from app.domain.reading import ImageRead, maximum, outcome_of
from app.domain.roles import SYSTEM
from app.domain.states import Outcome
from app.records import Image, Reading, Study
from app.records.base import now

StudyRead = tuple[StudyToScreen, list[ImageRead]]


def record(
    session: Session,
    *,
    read: Sequence[StudyRead],
    bundle_sha256: str,
    runtime: str,
    credits: Credits,
    made_with: Mapping[str, Any] | None = None,
) -> Recorded:
    """Each study has its reading and the place that follows from it; one whose lease was lost stays as it is.

    `made_with` is kept with each reading, and the places of its images in the network's pass.
    """
    rows = leases.locked(session, {study.study_id: study.lease for study, _ in read})
    standing = [(rows[study.study_id], study, images) for study, images in read if study.study_id in rows]
    if not standing:
        return Recorded()
    waiting = _still_waiting(session, standing)
    readings, counts = [], []
    for row, study, images in standing:
        reading = _reading(study, images, bundle_sha256=bundle_sha256, runtime=runtime, made_with=made_with)
        lane = Lane(reading.lane) if reading.lane else None
        counts.append(count_of(row, reading))
        settle(row, study=study, outcome=Outcome(reading.outcome), reason=reading.reason)
        row.lane, row.urgency = reading.lane, reading.urgency
        row.given_credit = credits.after_reading(given=row.given_credit, lane=lane)
        is_read = lane is not None and row.id not in waiting
        place(row, network_credit=credits.of_study(given=row.given_credit, is_read=is_read))
        audit.record(
            session,
            action=f"study.{reading.outcome}",
            by=SYSTEM,
            study_id=row.id,
            subject_id=reading.id,
            bundle=bundle_sha256[:12],
            lane=reading.lane,
            images=len(images),
        )
        readings.append((reading, row, images))
    _store(session, readings)
    announce(session, *rows.values())
    letters = delivery.prepare(session, [(row, reading) for reading, row, _ in readings])
    return Recorded(deliveries=tuple(letters), readings=tuple(counts))


def _reading(
    study: StudyToScreen,
    images: list[ImageRead],
    *,
    bundle_sha256: str,
    runtime: str,
    made_with: Mapping[str, Any] | None,
) -> Reading:
    """The study's reading: the maximum over its images."""
    outcome, reason = outcome_of(images)
    findings = maximum(images) if outcome is Outcome.SCREENED else {}
    lane = gravest([finding.lane for finding in findings.values() if not finding.research])
    urgency = max((image.urgency for image in images if image.urgency is not None), default=None)
    return Reading(
        id=uuid4(),
        study_id=study.study_id,
        bundle_sha256=bundle_sha256,
        runtime=runtime,
        outcome=outcome.value,
        reason=reason,
        lane=lane.value if lane else None,
        urgency=urgency if lane else None,
        findings={name: finding.as_json() for name, finding in findings.items()},
        notices=sorted({notice for image in images for notice in image.notices}),
        seconds=(now() - study.claimed_at).total_seconds(),
        made_with=None if made_with is None else {**made_with, "places": _places(images)},
    )


def _places(images: list[ImageRead]) -> dict[str, list[int]]:
    return {str(image.image_id): list(image.place) for image in images if image.place is not None}


def _still_waiting(
    session: Session, standing: Sequence[tuple[Study, StudyToScreen, list[ImageRead]]]
) -> set[UUID]:
    """Those of the studies that have an image of which nothing is said yet; one that failed or was withheld
    has had its reading.
    """
    return set(
        session.scalars(
            select(Image.study_id).where(
                Image.study_id.in_([row.id for row, _, _ in standing]),
                Image.superseded_by.is_(None),
                Image.id.not_in([image.image_id for _, _, images in standing for image in images]),
            )
        )
    )


def _store(session: Session, readings: Sequence[tuple[Reading, Study, list[ImageRead]]]) -> None:
    session.add_all([reading for reading, _, _ in readings])
    session.flush()  # nothing but the order of the statements tells that image readings point to readings
    session.add_all([image_reading(reading.id, image) for reading, _, images in readings for image in images])
    previews = [
        {"id": image.image_id, "preview_sha256": image.preview_sha256}
        for _, _, images in readings
        for image in images
        if image.preview_sha256
    ]
    if previews:
        session.execute(update(Image), previews)
