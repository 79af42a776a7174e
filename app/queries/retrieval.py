"""What WADO-RS retrieves: what is at an address, and its instances a page at a time.

An address may hold thousands of instances, so nothing here gives all of them, and none of it their headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.queries.dicomweb import DICOM, Place, at_place
from app.records import Image, Study

_NOT_SUPERSEDED = Image.superseded_by.is_(None)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One stored image as it is retrieved."""

    study_id: UUID
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str | None
    media_type: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What is at an address; PNG and JPEG images count as `pictures`."""

    study_ids: tuple[UUID, ...]
    instances: int
    pictures: int
    transfer_syntaxes: frozenset[str | None]
    """Of the instances."""


@dataclass(frozen=True)
class After:
    """Where the next page begins."""

    series_instance_uid: str
    arrived_at: datetime
    image_id: UUID


def holding(session: Session, place: Place) -> Holding:
    """What is at that address; of no study where there is nothing."""
    rows = session.execute(
        select(Image.study_id, Image.media_type, Image.transfer_syntax_uid, func.count())
        .join(Study, Study.id == Image.study_id)
        .where(_NOT_SUPERSEDED, *at_place(place))
        .group_by(Image.study_id, Image.media_type, Image.transfer_syntax_uid)
        .order_by(Image.study_id),
    ).all()
    return Holding(
        study_ids=tuple(dict.fromkeys(study_id for study_id, _, _, _ in rows)),
        instances=sum(count for _, media_type, _, count in rows if media_type == DICOM),
        pictures=sum(count for _, media_type, _, count in rows if media_type != DICOM),
        transfer_syntaxes=frozenset(syntax for _, media_type, syntax, _ in rows if media_type == DICOM),
    )


def files(
    session: Session, place: Place, *, size: int, after: After | None = None, only_dicom: bool = True
) -> tuple[tuple[StoredFile, ...], After | None]:
    """The next `size` images at the address, series by series as they came, and where the page after begins.

    None in its place says that there is no further page.
    """
    statement = (
        select(
            Image.id,
            Image.study_id,
            Image.series_instance_uid,
            Image.sop_instance_uid,
            Image.transfer_syntax_uid,
            Image.media_type,
            Image.sha256,
            Image.arrived_at,
            Study.study_instance_uid,
        )
        .join(Study, Study.id == Image.study_id)
        .where(_NOT_SUPERSEDED, *at_place(place))
        .order_by(Image.series_instance_uid, Image.arrived_at, Image.id)
        .limit(size + 1)
    )
    if only_dicom:
        statement = statement.where(Image.media_type == DICOM)
    if after is not None:
        statement = statement.where(
            tuple_(Image.series_instance_uid, Image.arrived_at, Image.id)
            > (after.series_instance_uid, after.arrived_at, after.image_id),
        )
    rows = session.execute(statement).all()
    found = tuple(
        StoredFile(
            study_id=row.study_id,
            study_instance_uid=row.study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            sop_instance_uid=row.sop_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            media_type=row.media_type,
            sha256=row.sha256,
        )
        for row in rows[:size]
    )
    if len(rows) <= size:
        return found, None
    last = rows[size - 1]
    return found, After(last.series_instance_uid, last.arrived_at, last.id)
