"""The rows of deleted studies, in every table that has any: they are locked, counted, and gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, collate, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.commands.delivery import DISABLED
from app.domain.states import State
from app.errors import Conflict
from app.records import (
    Adjudication,
    Base,
    BlobRemoval,
    ConfirmedCase,
    Delivery,
    Draft,
    IdentityConflict,
    Image,
    ImageReading,
    OcclusionMap,
    Reading,
    Review,
    SecondOpinion,
    ShadowReading,
    Study,
    Withdrawal,
)
from app.records.base import now

_PATIENCE = "2s"
_UNSENT = ("pending", "dead")
_LOCK_NOT_AVAILABLE, _DEADLOCK = "55P03", "40P01"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many rows of what."""

    studies: int
    images: int
    readings: int
    reviews: int
    """Signatures; their marks go with them."""
    marks: int
    second_opinions: int
    conflicts: int
    pending: int
    """Deliveries that were never sent, and will not be."""
    uncertain: int
    """Deliveries that were tried without an answer that says so: the receivers may have them."""
    delivered: int
    """Deliveries that were: the receivers have them."""

    def as_json(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def counts(session: Session, ids: Sequence[UUID]) -> Counts:
    """What the studies have."""

    def count(column: Any, *conditions: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).where(column.in_(ids), *conditions)) or 0

    marks = select(func.coalesce(func.sum(func.jsonb_array_length(Review.marks)), 0))
    return Counts(
        studies=count(Study.id),
        images=count(Image.study_id),
        readings=count(Reading.study_id),
        reviews=count(Review.study_id),
        marks=int(session.scalar(marks.where(Review.study_id.in_(ids))) or 0),
        second_opinions=count(SecondOpinion.study_id),
        conflicts=session.scalar(select(func.count()).select_from(IdentityConflict).where(_between(ids)))
        or 0,
        pending=count(Delivery.study_id, Delivery.state.in_(_UNSENT), ~_tried()),
        uncertain=count(Delivery.study_id, Delivery.state.in_(_UNSENT), _tried()),
        delivered=count(Delivery.study_id, Delivery.state == "delivered"),
    )


@contextmanager
def impatient(session: Session) -> Iterator[None]:
    """Whoever holds a row of the studies is waited for two seconds, and then it is a Conflict."""
    session.execute(text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": _PATIENCE})
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in (_LOCK_NOT_AVAILABLE, _DEADLOCK):
            raise
        raise Conflict(
            "Somebody or something is at work on one of the studies at this moment; nothing was deleted. Try "
            "again in a minute."
        ) from error


def lock(session: Session, ids: Sequence[UUID]) -> list[Study]:
    """The studies that are still there, locked until the commit, with whoever sends further images of them.

    Senders of one StudyInstanceUID take turns by an advisory lock, which they take first (`news.py`): who
    was before us has committed, who comes after us finds no study and makes a new one.
    """
    uids = session.scalars(select(Study.study_instance_uid).where(Study.id.in_(ids))).all()
    session.execute(
        text(
            "SELECT pg_advisory_xact_lock(hashtextextended(uid, 0)) FROM unnest(cast(:uids AS text[])) AS uid"
        ),
        {"uids": sorted(set(uids))},
    )
    return list(
        session.scalars(
            select(Study)
            .where(Study.id.in_(ids))
            .order_by(collate(Study.study_instance_uid, "C"), Study.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def check_nobody_is_at_it(studies: Sequence[Study]) -> None:
    """Raises Conflict where a reader holds a study, or a worker reads one."""
    for study in studies:
        if study.state == State.CLAIMED.value:
            raise Conflict(
                f"{study.claimed_by_name} holds one of the studies at this moment; nothing was deleted. Ask "
                "them to release it, or wait until the claim expires.",
                study=str(study.id),
            )
        if study.screening_lease is not None:
            raise Conflict(
                "The network reads one of the studies at this moment; nothing was deleted. Try again in a "
                "minute.",
                study=str(study.id),
            )


def check_nothing_is_sent(session: Session, ids: Sequence[UUID]) -> None:
    """Raises Conflict where a result is on its way this moment; until the commit nobody sends one."""
    rows = session.scalars(
        select(Delivery)
        .where(Delivery.study_id.in_(ids), Delivery.state == "pending")
        .order_by(Delivery.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    moment = now()
    if any(row.attempts and row.last_error is None and row.not_before > moment for row in rows):
        raise Conflict(
            "A result of one of the studies is on its way to another system at this moment; nothing was "
            "deleted. Try again in a minute."
        )


def _tried() -> ColumnElement[bool]:
    """A dead letter that is sent again begins to count anew, and keeps what it met."""
    met = and_(Delivery.last_error.is_not(None), Delivery.last_error != DISABLED)
    return or_(Delivery.attempts > 0, met)


def images_of(session: Session, ids: Sequence[UUID]) -> list[str]:
    """sha256 of each image, sorted."""
    return sorted(session.scalars(select(Image.sha256).where(Image.study_id.in_(ids))))


def allow(session: Session) -> None:
    """Until the commit the tables that are append-only let this transaction delete (migration 0022)."""
    session.execute(text("SELECT set_config('firstread.deleting', 'on', true)"))


def delete_rows(session: Session, ids: Sequence[UUID]) -> None:
    """Every row of the studies is gone, from the leaves to the studies; their stored bytes are to go too.

    Rows of other studies stay. An image of theirs that one of these had replaced stands again, and a conflict
    of identity with one of these is none any more.
    """
    images = select(Image.id).where(Image.study_id.in_(ids))
    readings = select(Reading.id).where(Reading.study_id.in_(ids))
    image_readings = select(ImageReading.id).where(
        or_(ImageReading.reading_id.in_(readings), ImageReading.image_id.in_(images))
    )
    remove(
        session,
        [
            sha256
            for row in session.execute(
                select(Image.sha256, Image.preview_sha256).where(Image.study_id.in_(ids))
            )
            for sha256 in row
            if sha256 is not None
        ],
    )
    for table, which in (
        (OcclusionMap, OcclusionMap.image_reading_id.in_(image_readings)),
        (ConfirmedCase, or_(ConfirmedCase.study_id.in_(ids), ConfirmedCase.image_id.in_(images))),
        (ShadowReading, ShadowReading.reading_id.in_(readings)),
        (ImageReading, or_(ImageReading.reading_id.in_(readings), ImageReading.image_id.in_(images))),
        (Delivery, Delivery.study_id.in_(ids)),
        (SecondOpinion, SecondOpinion.study_id.in_(ids)),
        (Draft, Draft.study_id.in_(ids)),
        (Adjudication, Adjudication.study_id.in_(ids)),
        (Withdrawal, Withdrawal.study_id.in_(ids)),
        (Review, Review.study_id.in_(ids)),
        (Reading, Reading.study_id.in_(ids)),
        (IdentityConflict, _between(ids)),
    ):
        _delete(session, table, which)
    session.execute(
        update(Image)
        .where(Image.superseded_by.in_(images))
        .values(superseded_by=None)
        .execution_options(synchronize_session=False)
    )
    _delete(session, Image, Image.study_id.in_(ids))
    _delete(session, Study, Study.id.in_(ids))


def _delete(session: Session, table: type[Base], which: ColumnElement[bool]) -> None:
    session.execute(delete(table).where(which).execution_options(synchronize_session=False))


def remove(session: Session, blobs: Sequence[str]) -> None:
    """These stored bytes go after the commit, unless a row names them then."""
    for sha256 in sorted(set(blobs)):
        listed = insert(BlobRemoval).values(sha256=sha256, orphan=False)
        # Updated, so that it is locked: until this commits nobody takes it off for a row that still names it.
        session.execute(listed.on_conflict_do_update(index_elements=["sha256"], set_={"orphan": False}))


def _between(ids: Sequence[UUID]) -> ColumnElement[bool]:
    return or_(IdentityConflict.study_id.in_(ids), IdentityConflict.other_study_id.in_(ids))
