"""What QIDO-RS searches: stored DICOM instances, as one archive sees them.

PNG and JPEG images are no DICOM instances: a search leaves them out, only `rendered` finds them. Header
revisions that were superseded are left out too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.dicom.qido import Match, Query
from app.queries.matching import image_condition, study_condition
from app.records import Image, Study

DICOM = "application/dicom"
_CURRENT = (Image.media_type == DICOM, Image.superseded_by.is_(None))


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study as a search shows it; `attributes` are those of its first instance."""

    study_id: UUID
    study_instance_uid: str
    attributes: dict[str, Any]
    modalities: tuple[str, ...]
    series: int
    instances: int
    uid_is_shared: bool
    """True where another patient's study has the StudyInstanceUID too."""


@dataclass(frozen=True, kw_only=True)
class StoredSeries:
    """A series as a search shows it, with what a search of all series says of its study."""

    study_instance_uid: str
    series_instance_uid: str
    attributes: dict[str, Any]
    instances: int
    study: StoredStudy


@dataclass(frozen=True, kw_only=True)
class StoredInstance:
    """One stored DICOM instance."""

    study_id: UUID
    image_id: UUID
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str | None
    attributes: dict[str, Any]
    uid_is_shared: bool
    """True where another patient's study has the StudyInstanceUID too."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The UIDs of an address; None where it does not go so deep. `study_id` where a UID is not enough."""

    study_id: UUID | None = None
    study: str | None = None
    series: str | None = None
    instance: str | None = None


def search_studies(session: Session, query: Query, place: Place) -> tuple[tuple[StoredStudy, ...], bool]:
    """The studies that match, the newest first, and whether there are more than the limit."""
    statement = (
        select(Study.id)
        .where(_has_image(query.matches), *at_place(place), *_study_conditions(query.matches))
        .order_by(Study.arrived_at.desc(), Study.id)
    )
    ids, more = _page(session, statement, query)
    return _studies(session, ids), more


def search_series(session: Session, query: Query, place: Place) -> tuple[tuple[StoredSeries, ...], bool]:
    """The series that match, in one study or in all."""
    first = func.min(Image.arrived_at)
    statement = (
        select(Image.study_id, Image.series_instance_uid, func.count(Image.sop_instance_uid.distinct()))
        .join(Study, Study.id == Image.study_id)
        .where(
            *_CURRENT, *at_place(place), *_study_conditions(query.matches), *_image_conditions(query.matches)
        )
        .group_by(Image.study_id, Image.series_instance_uid)
        .order_by(first.desc(), Image.series_instance_uid)
    )
    rows = session.execute(statement.offset(query.offset).limit(query.limit + 1)).all()
    more, rows = len(rows) > query.limit, rows[: query.limit]
    studies = {study.study_id: study for study in _studies(session, [row[0] for row in rows])}
    attributes = _first_attributes(session, [row[0] for row in rows])
    return tuple(
        StoredSeries(
            study_instance_uid=studies[study_id].study_instance_uid,
            series_instance_uid=series,
            attributes=attributes[study_id, series],
            instances=instances,
            study=studies[study_id],
        )
        for study_id, series, instances in rows
    ), more


def search_instances(session: Session, query: Query, place: Place) -> tuple[tuple[StoredInstance, ...], bool]:
    """The instances that match, in one series, one study or all."""
    statement = (
        _instances()
        .where(
            *_CURRENT, *at_place(place), *_study_conditions(query.matches), *_image_conditions(query.matches)
        )
        .order_by(Image.arrived_at.desc(), Image.id)
    )
    rows = session.execute(statement.offset(query.offset).limit(query.limit + 1)).all()
    shared = _shared(session, {uid for _, uid in rows[: query.limit]})
    found = tuple(_instance(image, uid, is_shared=uid in shared) for image, uid in rows[: query.limit])
    return found, len(rows) > query.limit


def studies_in(session: Session, query: Query, place: Place) -> tuple[UUID, ...]:
    """Whose images a search of the series or instances at the address is about."""
    return tuple(
        session.scalars(
            select(Study.id)
            .where(
                exists().where(and_(Image.study_id == Study.id, *_CURRENT, *at_place(place))),
                *_study_conditions(query.matches),
            )
            .order_by(Study.id),
        ),
    )


def _shared(session: Session, uids: set[str]) -> frozenset[str]:
    """Those of the StudyInstanceUIDs that more than one study has."""
    return frozenset(
        session.scalars(
            select(Study.study_instance_uid)
            .where(Study.study_instance_uid.in_(uids))
            .group_by(Study.study_instance_uid)
            .having(func.count() > 1),
        ),
    )


def _instances() -> Select[Image, str]:
    return select(Image, Study.study_instance_uid).join(Study, Study.id == Image.study_id)


def _instance(image: Image, study_instance_uid: str, *, is_shared: bool) -> StoredInstance:
    return StoredInstance(
        study_id=image.study_id,
        image_id=image.id,
        study_instance_uid=study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        sop_instance_uid=image.sop_instance_uid,
        sop_class_uid=image.sop_class_uid,
        transfer_syntax_uid=image.transfer_syntax_uid,
        attributes=image.attributes,
        uid_is_shared=is_shared,
    )


def at_place(place: Place) -> list[ColumnElement[bool]]:
    """The conditions that an image at the address meets."""
    conditions: list[ColumnElement[bool]] = []
    if place.study_id is not None:
        conditions.append(Study.id == place.study_id)
    if place.study is not None:
        conditions.append(Study.study_instance_uid == place.study)
    if place.series is not None:
        conditions.append(Image.series_instance_uid == place.series)
    if place.instance is not None:
        conditions.append(Image.sop_instance_uid == place.instance)
    return conditions


def _study_conditions(matches: Sequence[Match]) -> list[ColumnElement[bool]]:
    found = (study_condition(match) for match in matches)
    return [condition for condition in found if condition is not None]


def _image_conditions(matches: Sequence[Match]) -> list[ColumnElement[bool]]:
    return [
        image_condition(match)
        for match in matches
        if study_condition(match) is None and match.how != "present"
    ]


def _has_image(matches: Sequence[Match]) -> ColumnElement[bool]:
    """A study is found by its images where an attribute is not the study's own."""
    return exists().where(and_(Image.study_id == Study.id, *_CURRENT, *_image_conditions(matches)))


def _page(session: Session, statement: Select[UUID], query: Query) -> tuple[list[UUID], bool]:
    rows = session.execute(statement.offset(query.offset).limit(query.limit + 1))
    ids = [study_id for (study_id,) in rows]
    return ids[: query.limit], len(ids) > query.limit


def _studies(session: Session, ids: Sequence[UUID]) -> tuple[StoredStudy, ...]:
    counted = {
        row.study_id: row
        for row in session.execute(
            select(
                Image.study_id,
                func.count(Image.sop_instance_uid.distinct()).label("instances"),
                func.count(Image.series_instance_uid.distinct()).label("series"),
                func.array_agg(Image.modality.distinct()).label("modalities"),
            )
            .where(Image.study_id.in_(ids), *_CURRENT)
            .group_by(Image.study_id),
        )
    }
    attributes: dict[UUID, dict[str, Any]] = dict(
        session.execute(
            select(Image.study_id, Image.attributes)
            .where(Image.study_id.in_(ids), *_CURRENT)
            .ext(distinct_on(Image.study_id))
            .order_by(Image.study_id, Image.arrived_at, Image.id),
        ).all(),
    )
    uids = dict(session.execute(select(Study.id, Study.study_instance_uid).where(Study.id.in_(ids))).all())
    shared = _shared(session, set(uids.values()))
    return tuple(
        StoredStudy(
            study_id=study_id,
            study_instance_uid=uids[study_id],
            attributes=attributes[study_id],
            modalities=tuple(sorted(modality for modality in counted[study_id].modalities if modality)),
            series=counted[study_id].series,
            instances=counted[study_id].instances,
            uid_is_shared=uids[study_id] in shared,
        )
        for study_id in dict.fromkeys(ids)
    )


def _first_attributes(session: Session, ids: Sequence[UUID]) -> dict[tuple[UUID, str], dict[str, Any]]:
    rows = session.execute(
        select(Image.study_id, Image.series_instance_uid, Image.attributes)
        .where(Image.study_id.in_(ids), *_CURRENT)
        .ext(distinct_on(Image.study_id, Image.series_instance_uid))
        .order_by(Image.study_id, Image.series_instance_uid, Image.arrived_at, Image.id),
    )
    return {(study_id, series): attributes for study_id, series, attributes in rows}
