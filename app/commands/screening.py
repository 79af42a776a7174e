"""Screening from the database's side: claim a batch, record what came of it, give back what was not done.

Every function may run twice: a claim is a lease, and a record counts only while its lease is the study's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.commands import audit, delivery, registry
from app.commands.leases import free
from app.commands.ranking import announce, place
from app.commands.readings import image_reading
from app.commands.registry import Lacking
from app.commands.stored_header import header_from_json
from app.dicom.image_header import ImageHeader
from app.domain.counting import Counted, counted
from app.domain.order import Credits
from app.domain.reading import ImageRead
from app.domain.roles import SYSTEM, Actor
from app.domain.states import READ_BY_NETWORK, Outcome, State
from app.records import Image, Reading, Study
from app.records.base import now

_CLAIMABLE = (State.ADMITTED.value, State.FAILED.value, State.SCREENING.value)
_UNREVIEWED = (State.ADMITTED.value, State.SCREENING.value, *(state.value for state in READ_BY_NETWORK))


@dataclass(frozen=True, kw_only=True)
class ImageToScreen:
    """One image of a claimed study."""

    image_id: UUID
    sha256: str
    media_type: str
    header: ImageHeader
    source: str
    """Who sent it: a key's or person's name."""
    has_preview: bool
    due_since: datetime
    """When it came, or when its study became due again."""


@dataclass(frozen=True, kw_only=True)
class StudyToScreen:
    """One claimed study; `lease` and `revision` are handed back with the result."""

    study_id: UUID
    lease: UUID
    revision: int
    attempt: int
    images: tuple[ImageToScreen, ...]
    claimed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What there is to do after the commit: deliveries to ring for, and readings to count."""

    deliveries: tuple[UUID, ...] = ()
    readings: tuple[Counted, ...] = ()


def claim_batch(session: Session, *, size: int, lease: timedelta) -> list[StudyToScreen]:
    """Up to `size` studies in the order of the worklist, leased to the caller; other workers skip them."""
    moment = now()
    studies = session.scalars(
        select(Study)
        .where(
            Study.screening_due,
            or_(Study.screening_lease.is_(None), Study.screening_lease_expires_at <= moment),
            or_(Study.screening_not_before.is_(None), Study.screening_not_before <= moment),
        )
        .order_by(Study.rank_at)
        .limit(size)
        .with_for_update(skip_locked=True),
    ).all()
    studies = _together(studies)
    images = _images_of(session, studies)
    claimed: list[StudyToScreen] = []
    for study in studies:
        study.screening_lease, study.screening_lease_expires_at = uuid4(), moment + lease
        study.screening_attempts += 1
        if study.state in _CLAIMABLE:
            study.state, study.reason = State.SCREENING.value, None
        claimed.append(
            StudyToScreen(
                study_id=study.id,
                lease=study.screening_lease,
                revision=study.revision,
                attempt=study.screening_attempts,
                claimed_at=moment,
                images=tuple(images[study.id]),
            ),
        )
        audit.record(
            session, action="study.screening", by=SYSTEM, study_id=study.id, attempt=study.screening_attempts
        )
    return claimed


def _together(studies: Sequence[Study]) -> Sequence[Study]:
    """The head of the list that may be screened in one batch.

    A study that did not survive an earlier attempt comes alone: should it take its worker down again, no
    other study loses an attempt by it.
    """
    for index, study in enumerate(studies):
        if study.screening_attempts > 0:
            return studies[: max(index, 1)]
    return studies


def _images_of(session: Session, studies: Sequence[Study]) -> dict[UUID, list[ImageToScreen]]:
    """The studies' standing images in the order of their arrival; `attributes` stay in the database."""
    images: dict[UUID, list[ImageToScreen]] = {study.id: [] for study in studies}
    again = {study.id: study.screening_again_at for study in studies}
    rows = session.execute(
        select(
            Image.study_id,
            Image.id,
            Image.sha256,
            Image.media_type,
            Image.header,
            Image.source,
            Image.preview_sha256,
            Image.arrived_at,
        )
        .where(Image.study_id.in_(images), Image.superseded_by.is_(None))
        .order_by(Image.arrived_at, Image.id),
    )
    for row in rows:
        images[row.study_id].append(
            ImageToScreen(
                image_id=row.id,
                sha256=row.sha256,
                media_type=row.media_type,
                header=header_from_json(row.header),
                source=row.source,
                has_preview=row.preview_sha256 is not None,
                due_since=max(row.arrived_at, again[row.study_id] or row.arrived_at),
            ),
        )
    return images


def postpone(
    session: Session,
    *,
    study: StudyToScreen,
    error: str,
    attempts: int,
    backoff: timedelta,
    credits: Credits,
    lacking: Lacking | None = None,
) -> Recorded:
    """Screening broke: the study is tried again after a doubling pause, and failed after the last attempt.

    `error` is a sentence for the reader. An attempt that ended for want of a network (`lacking`) does not
    count once a bundle has been promoted.
    """
    if lacking is not None and registry.is_remedied(session, lacking):
        again = _leased(session, study)
        if again is not None:
            again.screening_attempts = 0
            free(again)
        return Recorded()
    if study.attempt >= attempts:
        images = [
            ImageRead(image_id=image.image_id, outcome=Outcome.FAILED, reason=error) for image in study.images
        ]
        row = _leased(session, study)
        if row is None:
            return Recorded()
        reading = Reading(
            id=uuid4(), study_id=row.id, outcome="failed", reason=error, findings={}, notices=[], seconds=None
        )
        session.add(reading)
        session.flush()
        session.add_all([image_reading(reading.id, image) for image in images])
        count = count_of(row, reading)
        settle(row, study=study, outcome=Outcome.FAILED, reason=error, lacked_network=lacking is not None)
        row.lane, row.urgency = None, None
        place(row, network_credit=credits.of_study(given=row.given_credit, is_read=False))
        audit.record(
            session, action="study.failed", by=SYSTEM, study_id=row.id, subject_id=reading.id, reason=error
        )
        announce(session, row)
        letters = delivery.prepare(session, [(row, reading)])
        return Recorded(deliveries=tuple(letters), readings=(count,))
    row = _leased(session, study)
    if row is not None:
        row.screening_not_before = now() + backoff * 2 ** (study.attempt - 1)
        free(row)
        audit.record(
            session, action="study.screening-abandoned", by=SYSTEM, study_id=row.id, attempt=study.attempt
        )
    return Recorded()


def count_of(row: Study, reading: Reading) -> Counted:
    """What is counted of the reading, before the study is settled: that forgets since when it was due."""
    return counted(
        outcome=reading.outcome,
        reason=reading.reason,
        waited_seconds=(now() - (row.screening_again_at or row.arrived_at)).total_seconds(),
        bundle=reading.bundle_sha256,
        findings=reading.findings,
    )


def can_retry(study: Study, *, by: Actor) -> bool:
    """True for a failed or withheld study that is not due anyway, also one that `by` holds; not another's."""
    held = study.state == State.CLAIMED.value and study.claimed_by_name == by.name
    state = study.state_before_claim if held else study.state
    return not study.screening_due and state in (State.FAILED.value, State.WITHHELD.value)


def retry(session: Session, *, study_id: UUID, by: Actor = SYSTEM) -> bool:
    """A failed or withheld study is due for screening again, also one that `by` holds, and goes on holding.
    False where there is nothing to retry.
    """
    row = session.get(Study, study_id, with_for_update=True)
    if row is None or not can_retry(row, by=by):
        return False
    row.screening_due, row.screening_attempts, row.screening_not_before = True, 0, None
    row.screening_again_at = now()
    if State.WITHHELD.value in (row.state, row.state_before_claim):
        row.reason = None
        if row.state_before_claim:
            row.state_before_claim = State.ADMITTED.value
        else:
            row.state = State.ADMITTED.value
    return True


def _leased(session: Session, study: StudyToScreen) -> Study | None:
    return session.scalar(
        select(Study)
        .where(Study.id == study.study_id, Study.screening_lease == study.lease)
        .with_for_update(),
    )


def settle(
    row: Study, *, study: StudyToScreen, outcome: Outcome, reason: str | None, lacked_network: bool = False
) -> None:
    """Ends the lease; a study that got an image meanwhile stays due, any other has its outcome as state."""
    row.screening_lease, row.screening_lease_expires_at = None, None
    changed = row.revision != study.revision
    row.revision += 1
    if changed:
        if row.state == State.SCREENING.value:
            row.state = State.ADMITTED.value
        row.screening_attempts = 0
        return
    row.screening_due, row.screening_attempts, row.screening_not_before = False, 0, None
    row.screening_again_at = None
    row.screening_lacked_network = lacked_network
    # A reader may have claimed the study and let go of it while it was being read.
    if row.state in _UNREVIEWED:
        row.state, row.reason = outcome.value, reason
    elif row.state == State.CLAIMED.value and row.state_before_claim in _UNREVIEWED:
        row.state_before_claim, row.reason = outcome.value, reason
