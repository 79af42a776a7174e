"""All labels that a snapshot could be made of, in a table of the transaction's own: imports and reviews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Numeric,
    Row,
    Table,
    Text,
    Uuid,
    and_,
    any_,
    case,
    exists,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.commands.superseding import superseded_by
from app.dicom.frontal import is_frontal_chest
from app.domain import patient_key
from app.domain.review_label import ReviewLabel, SignedReview, SignedStudy, Why, label_of_review, told
from app.domain.sentence import sentence
from app.domain.snapshot import CORRECTED, IMPORT, NORMAL, NORMAL_NAMES, TEST, may_judge, strength
from app.domain.superseding import as_it_is_now
from app.records import Adjudication, DatasetFile, IdentityConflict, Image, ImageReading, Review, Study
from app.records.review import stands

_Row: TypeAlias = Row[*tuple[Any, ...]]
_STUDIES_AT_ONCE = 1000
_OF_STUDY = (
    *(Study.id, Study.is_sample, Study.purpose, Study.state, Study.patient_id, Study.issuer_of_patient_id),
    *(Study.unidentified_as, Study.age_years, Study.patient_sex, Study.station_name),
)
_OF_REVIEW = (
    *(Review.id, Review.study_id, Review.reviewer_kind, Review.reviewer_id, Review.reviewer_name),
    *(Review.verdict, Review.findings, Review.image_ids, Review.blind, Review.final_at),
)
_ALONE = patient_key.of_file(patient_key=None, sha256="")
_TEXTS = (
    *("path", "label", "subtype", "patient_key", "source", "blind", "reviewer", "review_id", "study_id"),
    *("media_type", "age_years", "sex", "view", "station", "given"),
)
LABELS = Table(
    "snapshot_labels",
    MetaData(),
    *(Column(name, Text, nullable=False, server_default="") for name in _TEXTS),
    Column("strength", Integer, nullable=False),
    Column("judges", Boolean, nullable=False),
    Index("ix_snapshot_labels_path", "path"),
    Index("ix_snapshot_labels_patient_key", "patient_key"),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""A row for each label of each image; `given` is the split that a dataset names."""


def add_imports(session: Session, datasets: Sequence[UUID]) -> list[str]:
    """The usable files of the datasets; returns what was left out."""
    ours = DatasetFile.dataset_id.in_(datasets)
    usable = and_(ours, DatasetFile.outcome == "usable", DatasetFile.label.is_not(None))
    with_test = select(DatasetFile.dataset_id).where(usable, DatasetFile.split == TEST).distinct()
    named = func.lower(func.trim(DatasetFile.label))
    key = func.trim(func.coalesce(DatasetFile.patient_key, ""))
    age = DatasetFile.facts["age_years"]
    plain_age = func.trim_scale(age.astext.cast(Numeric)).cast(Text)
    texts: dict[str, Any] = {
        "path": DatasetFile.sha256,
        "label": case((named.in_(sorted(NORMAL_NAMES)), NORMAL), else_=named),
        "subtype": func.coalesce(DatasetFile.subtype, ""),
        "patient_key": case((key != "", key), else_=literal(_ALONE) + DatasetFile.sha256),
        "source": literal(IMPORT),
        "blind": literal("0"),
        "age_years": case((func.jsonb_typeof(age) == "number", plain_age), else_=""),
        # A dataset that has no test leaves the drawing of one to us.
        "given": case(
            (DatasetFile.dataset_id.in_(with_test), func.coalesce(DatasetFile.split, "")), else_=""
        ),
        **{
            name: func.coalesce(DatasetFile.facts[name].astext, "")
            for name in ("media_type", "sex", "view", "station")
        },
    }
    # Who sets a label right sees what a network thinks of it: as a correction, it counts and does not judge.
    brought = func.lower(func.trim(DatasetFile.brought_label))
    changed = and_(DatasetFile.decision.is_not(None), brought.is_distinct_from(named))
    chosen = select(
        *texts.values(),
        case((changed, strength(source=CORRECTED, blind=False)), else_=strength(source=IMPORT, blind=False)),
        case(
            (changed, may_judge(source=CORRECTED, blind=False)), else_=may_judge(source=IMPORT, blind=False)
        ),
    ).where(usable)
    session.execute(insert(LABELS).from_select([*texts, "strength", "judges"], chosen))
    files = session.scalar(select(func.count()).select_from(DatasetFile).where(ours, ~usable)) or 0
    return [sentence(f"Files of the datasets that cannot be used, left out: {files}.")] if files else []


def add_reviews(session: Session, *, at: datetime) -> list[str]:
    """The images of signed studies, as their reviews label them; returns what was left out."""
    left_out: Counter[Why] = Counter()
    not_frontal = 0
    for studies in _signed(session):
        labels: dict[UUID, tuple[_Row, ReviewLabel]] = {}
        newer: Mapping[str, str] = {}
        for study, signed in studies:
            found = label_of_review(signed, at=at)
            if isinstance(found, Why):
                left_out[found] += 1
            else:
                labels[study.id] = (study, found)
                newer = signed.superseded_by
        rows, others = _rows(session, labels, newer=newer)
        not_frontal += others
        if rows:
            session.execute(insert(LABELS), rows)
    told_of = [told(why, left_out[why]) for why in Why if left_out[why]]
    if not_frontal:
        told_of.append(
            sentence(f"Images of labelled studies that are no frontal chest, left out: {not_frontal}.")
        )
    return told_of


def _signed(session: Session) -> Iterator[list[tuple[_Row, SignedStudy]]]:
    """Studies with a review that stands, so many at once."""
    last: UUID | None = None
    while True:
        asked = select(Review.study_id).where(stands()).group_by(Review.study_id).order_by(Review.study_id)
        if last is not None:
            asked = asked.where(Review.study_id > last)
        ids = session.scalars(asked.limit(_STUDIES_AT_ONCE)).all()
        if not ids:
            return
        yield _with_reviews(session, ids)
        last = ids[-1]


def _with_reviews(session: Session, ids: Sequence[UUID]) -> list[tuple[_Row, SignedStudy]]:
    in_conflict = exists().where(
        IdentityConflict.resolved_at.is_(None),
        (IdentityConflict.study_id == Study.id) | (IdentityConflict.other_study_id == Study.id),
    )
    of_study = select(*_OF_STUDY, in_conflict.label("in_conflict")).where(_is_of(Study.id, ids))
    studies = session.execute(of_study.order_by(Study.id)).all()
    reviews: dict[UUID, list[SignedReview]] = {}
    adjudicated = exists().where(Adjudication.review_id == Review.id)
    of_review = select(*_OF_REVIEW, adjudicated.label("is_adjudication"))
    standing = of_review.where(_is_of(Review.study_id, ids), stands()).order_by(Review.sequence)
    for review in session.execute(standing):
        reviews.setdefault(review.study_id, []).append(
            SignedReview(
                id=review.id,
                reviewer_kind=review.reviewer_kind,
                reviewer_id=review.reviewer_id,
                reviewer_name=review.reviewer_name,
                verdict=review.verdict,
                findings=review.findings,
                image_ids=review.image_ids,
                blind=review.blind,
                final_at=review.final_at,
                is_adjudication=review.is_adjudication,
            )
        )
    newer = superseded_by(session, ids)
    return [
        (
            study,
            SignedStudy(
                is_sample=study.is_sample,
                purpose=study.purpose,
                state=study.state,
                in_conflict=study.in_conflict,
                reviews=reviews[study.id],
                superseded_by=newer,
            ),
        )
        for study in studies
    ]


def _is_of(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], ids: Sequence[UUID]
) -> ColumnElement[bool]:
    """One parameter, however many ids: a statement with a thousand takes longer to write than to answer."""
    return column == any_(literal(list(ids), ARRAY(Uuid)))


def _rows(
    session: Session,
    labels: dict[UUID, tuple[_Row, ReviewLabel]],
    *,
    newer: Mapping[str, str],
) -> tuple[list[dict[str, Any]], int]:
    """A row for each frontal image that was read, and how many others there are."""
    columns = (Image.id, Image.study_id, Image.sha256, Image.media_type, Image.view_position)
    asked = select(*columns).where(_is_of(Image.study_id, list(labels)))
    images = {str(image.id): image for image in session.execute(asked.order_by(Image.study_id, Image.id))}
    passed = set(
        session.scalars(
            select(ImageReading.image_id)
            .where(
                _is_of(ImageReading.image_id, [image.id for image in images.values()]),
                ImageReading.outcome == "screened",
            )
            .distinct()
        )
    )
    unread = [image.id for image in images.values() if image.id not in passed]
    headers = session.execute(select(Image.id, Image.header).where(_is_of(Image.id, unread)))
    frontal = passed | {image_id for image_id, header in headers if is_frontal_chest(header)}
    rows, others = [], 0
    for study, found in labels.values():
        for read in dict.fromkeys(as_it_is_now(read, newer) for read in found.review.image_ids):
            image = images.get(read)
            if image is None:
                continue
            if image.id in frontal:
                rows.append(_row(study, image, found))
            else:
                others += 1
    return rows, others


def _row(study: _Row, image: _Row, found: ReviewLabel) -> dict[str, Any]:
    return {
        "path": image.sha256,
        "label": found.label,
        "subtype": "",
        "patient_key": patient_key.of_study(
            patient_id=study.patient_id,
            issuer=study.issuer_of_patient_id,
            unidentified_as=study.unidentified_as,
            study_id=study.id,
        ),
        "source": found.source,
        "blind": str(int(found.blind)),
        "reviewer": found.review.reviewer_name,
        "review_id": str(found.review.id),
        "study_id": str(study.id),
        "media_type": image.media_type,
        "age_years": "" if study.age_years is None else f"{study.age_years:g}",
        "sex": study.patient_sex or "",
        "view": image.view_position or "",
        "station": study.station_name or "",
        "given": "",
        "strength": strength(source=found.source, blind=found.blind),
        "judges": may_judge(source=found.source, blind=found.blind),
    }
