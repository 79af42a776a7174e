"""Similar confirmed cases: the signed studies that the same network found most alike, with their verdicts.

The nearest rows come from an HNSW index (pgvector) that holds signed studies alone. What it cannot know is
asked of each candidate: the bundle, the study's state of the moment, whose study it is. Where that leaves too
few, the scan goes on in the index until enough are found (`hnsw.iterative_scan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Double, and_, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.commands.cases import most_telling
from app.domain.states import DONE, Outcome, State
from app.errors import NotFound
from app.records import ConfirmedCase, Image, ImageReading, Reading, Review, Study

SETTLED_AFTER = timedelta(seconds=10)
"""A signature counts once it has stood so long: until then its reader may still think better of it."""
_SEARCH = {"hnsw.iterative_scan": "strict_order", "hnsw.ef_search": "100", "hnsw.max_scan_tuples": "40000"}

NOT_READ = "The network has not read this study, so there is nothing to compare it by."
NO_FEATURES = (
    "This study was read by a bundle, or before a version, that kept no features to compare it by. "
    "Studies that arrive from now on have them."
)
NONE_ALIKE = (
    "No other patient's study that this network read has been signed yet. Features are compared within one "
    "bundle only, so after a promotion the cases gather anew."
)


@dataclass(frozen=True, kw_only=True)
class FindingJudged:
    """One finding of a case: what the network had said, and what the last signature says."""

    name: str
    reader: str
    """present, absent or uncertain."""
    verdict: str
    """confirmed, corrected, or read where the network had not spoken of it."""
    probability: float | None
    lane: str | None


@dataclass(frozen=True, kw_only=True)
class SimilarCase:
    """A signed study of another patient, as its last signature stands."""

    study_id: UUID
    image_id: UUID
    """The image the comparison was made by: the one that gave the study its finding."""
    likeness: float
    """Cosine of the angle between the features: 1 is the same picture to the network."""
    age_years: float | None
    signed_at: datetime
    amended: bool
    verdict: str
    """The signature's as a whole: confirmed, corrected or read."""
    findings: tuple[FindingJudged, ...]
    readers: int
    """How many people have signed or amended it."""
    reader_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SimilarCases:
    """The nearest cases, the most alike first; where there is none, `why_none` says why."""

    study_id: UUID
    bundle_sha256: str | None
    cases: tuple[SimilarCase, ...]
    why_none: str | None


@dataclass(frozen=True)
class _Sought:
    """What is looked for: what the study's network made of its most telling image."""

    bundle_sha256: str
    embedding: Sequence[float]


def similar(session: Session, *, study_id: UUID, size: int) -> SimilarCases:
    """The `size` cases most like the study; NotFound where there is no such study.

    Never a study of the same patient nor one with the same picture, which would only repeat what is known;
    never one that is not signed at this moment, nor signed less than SETTLED_AFTER ago; samples only among
    themselves.
    """
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("There is no such study.")
    sought = _sought(session, study)
    if isinstance(sought, str):
        return SimilarCases(study_id=study_id, bundle_sha256=None, cases=(), why_none=sought)
    rows = nearest(session, sought.embedding, bundle_sha256=sought.bundle_sha256, study=study, size=size)
    return SimilarCases(
        study_id=study_id,
        bundle_sha256=sought.bundle_sha256,
        cases=tuple(_case(row) for row in rows),
        why_none=None if rows else NONE_ALIKE,
    )


def nearest(
    session: Session, embedding: Sequence[float], *, bundle_sha256: str, study: Study, size: int
) -> Sequence[Any]:
    """Rows of study, image, likeness and last review, the most alike first."""
    for name, value in _SEARCH.items():
        session.execute(select(func.set_config(name, value, True)))
    distance: ColumnElement[float] = ConfirmedCase.embedding.op("<#>", return_type=Double())(
        literal(embedding, ConfirmedCase.embedding.type)
    )
    own_pixels = select(Image.pixel_sha256).where(Image.study_id == study.id)
    found = (
        select(
            ConfirmedCase.study_id,
            ConfirmedCase.image_id,
            (-distance).label("likeness"),
            Study.age_years,
            Study.state,
        )
        .join(Study, Study.id == ConfirmedCase.study_id)
        .join(Image, Image.id == ConfirmedCase.image_id)
        .where(
            ConfirmedCase.bundle_sha256 == bundle_sha256,
            Study.id != study.id,
            Study.state.in_([state.value for state in DONE]),
            Study.purpose == "current",
            Study.is_sample == study.is_sample,
            Study.signed_at <= func.now() - SETTLED_AFTER,
            ~_same_patient(study),
            Image.pixel_sha256.not_in(own_pixels),
        )
        .order_by(distance)
        .limit(size)
        .cte("found")
    )
    standing = (
        select(Review.verdict, Review.findings, Review.network_findings, Review.signed_at)
        .where(Review.study_id == found.c.study_id)
        .order_by(Review.sequence.desc())
        .limit(1)
        .lateral("standing")
    )
    signed = (
        select(
            func.array_agg(aggregate_order_by(Review.reviewer_name, Review.sequence)).label("reviewer_names")
        )
        .where(Review.study_id == found.c.study_id)
        .lateral("signed")
    )
    return session.execute(
        select(found, standing, signed)
        .select_from(found)
        .join(standing, literal(True))
        .join(signed, literal(True))
        .order_by(found.c.likeness.desc())
    ).all()


def _sought(session: Session, study: Study) -> _Sought | str:
    """What to look for, or the sentence why nothing can be."""
    reading = session.scalar(
        select(Reading).where(Reading.study_id == study.id).order_by(Reading.sequence.desc()).limit(1)
    )
    if reading is None or reading.outcome != Outcome.SCREENED.value or reading.bundle_sha256 is None:
        return NOT_READ
    telling = most_telling(session, reading)
    if telling is None:
        return NO_FEATURES
    embedding = session.scalar(select(ImageReading.embedding).where(ImageReading.id == telling))
    assert embedding is not None
    return _Sought(reading.bundle_sha256, embedding)


def _same_patient(study: Study) -> ColumnElement[bool]:
    """True of the same patient's studies, also of those where one of the two lacks the issuer."""
    if study.patient_id:
        issuer = or_(
            Study.issuer_of_patient_id == study.issuer_of_patient_id,
            Study.issuer_of_patient_id == "",
            literal(study.issuer_of_patient_id == ""),
        )
        return and_(Study.patient_id == study.patient_id, issuer)
    if study.unidentified_as:
        return Study.unidentified_as == study.unidentified_as
    return false()


def _case(row: Any) -> SimilarCase:
    names = tuple(dict.fromkeys(row.reviewer_names))
    return SimilarCase(
        study_id=row.study_id,
        image_id=row.image_id,
        likeness=min(row.likeness, 1.0),  # half precision rounds past it
        age_years=row.age_years,
        signed_at=row.signed_at,
        amended=row.state == State.AMENDED.value,
        verdict=row.verdict,
        findings=tuple(
            _judged(name, str(said), row.network_findings.get(name)) for name, said in row.findings.items()
        ),
        readers=len(names),
        reader_names=names,
    )


def _judged(name: str, reader: str, network: dict[str, Any] | None) -> FindingJudged:
    if network is None:
        return FindingJudged(name=name, reader=reader, verdict="read", probability=None, lane=None)
    agreed = reader == ("present" if network["present"] else "absent")
    return FindingJudged(
        name=name,
        reader=reader,
        verdict="confirmed" if agreed else "corrected",
        probability=network["probability"],
        lane=network["lane"],
    )
