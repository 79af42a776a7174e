"""Similar confirmed cases: the signed studies that the same network found most alike, with their verdicts.

The nearest rows come from an HNSW index (pgvector) that holds signed studies alone. It knows nothing of
bundles: where the rows of one are rare in it, the scan goes on until enough are found
(`hnsw.iterative_scan`), or PostgreSQL sees that sorting them all is cheaper. What may be shown is asked of
the candidates: the study's state of the moment, whose study it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Double, Select, and_, exists, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.commands.blinding import HIDDEN, hidden_from, is_hidden
from app.commands.cases import SETTLED_AFTER, most_telling
from app.commands.second_opinions import verdicts_hidden_from
from app.domain.roles import Actor
from app.domain.sentence import sentence
from app.domain.states import DONE, Outcome, State
from app.errors import NotFound
from app.records import ConfirmedCase, ImageReading, Reading, Review, Study
from app.records.review import stands

_SEARCH = {"hnsw.iterative_scan": "strict_order", "hnsw.ef_search": "200", "hnsw.max_scan_tuples": "40000"}
_SAME_PICTURE = 0.999
"""From this likeness on it is the same radiograph under another name: half precision and the network's own
rounding leave less between two looks at one picture.
"""
_CANDIDATES = (100, 3200)
"""So many of the nearest are looked at more closely; the second number where the first left too few, as for a
patient with a hundred studies of their own.
"""

NOT_READ = sentence("The network has not read this study, so there is nothing to compare it by.")
NO_FEATURES = sentence(
    "This study was read by a bundle, or before a version, that kept no features to compare it by. "
    "Studies that arrive from now on have them."
)
NONE_ALIKE = sentence(
    "No other patient's study that this network read has been signed yet. Features are compared within one "
    "bundle only, so after a promotion the cases gather anew."
)


@dataclass(frozen=True, kw_only=True)
class FindingJudged:
    """One finding of a case: what the network had said, and what the last signature says."""

    name: str
    reader: str
    """present, absent or uncertain."""
    verdict: str | None
    """confirmed, corrected, or read where the network had not spoken of it; None where that is hidden."""
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
    verdict: str | None
    """The signature's as a whole: confirmed, corrected or read; None where the opinion is hidden."""
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


def similar(session: Session, *, study_id: UUID, size: int, to: Actor) -> SimilarCases:
    """The `size` cases most like the study, as `to` may see them; NotFound where there is no such study.

    Never a study of the same patient nor one with the same picture, which would only repeat what is known;
    never one that is not signed at this moment, nor signed less than SETTLED_AFTER ago or not yet finally;
    samples only among themselves. None for a study that `to` reads blind: what the network finds alike tells.
    """
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("There is no such study.")
    sought = _sought(session, study)
    if is_hidden(session, study_id=study_id, who=to):
        sought = HIDDEN
    if isinstance(sought, str):
        return SimilarCases(study_id=study_id, bundle_sha256=None, cases=(), why_none=sought)
    rows = nearest(session, sought.embedding, bundle_sha256=sought.bundle_sha256, study=study, size=size)
    ids = [row.study_id for row in rows]
    unseen = set(session.scalars(select(Study.id).where(Study.id.in_(ids), verdicts_hidden_from(to))))
    blind = set(session.scalars(select(Study.id).where(Study.id.in_(ids), hidden_from(session, to))))
    return SimilarCases(
        study_id=study_id,
        bundle_sha256=sought.bundle_sha256,
        cases=tuple(_case(row, hidden=row.study_id in blind) for row in rows if row.study_id not in unseen),
        why_none=None if rows else NONE_ALIKE,
    )


def nearest(
    session: Session, embedding: Sequence[float], *, bundle_sha256: str, study: Study, size: int
) -> Sequence[Any]:
    """Rows of study, image, likeness and last review, the most alike first."""
    session.execute(select(*(func.set_config(name, value, True) for name, value in _SEARCH.items())))
    rows: Sequence[Any] = ()
    for among in _CANDIDATES:
        rows = session.execute(_shown_among(among, embedding, bundle_sha256, study, size)).all()
        if len(rows) == size:
            break
    return rows


def _shown_among(
    among: int, embedding: Sequence[float], bundle_sha256: str, study: Study, size: int
) -> Select[Any]:
    """Of the nearest `among` rows those that may be shown now, with what their last signature says."""
    distance: ColumnElement[float] = ConfirmedCase.embedding.op("<#>", return_type=Double())(
        literal(embedding, ConfirmedCase.embedding.type)
    )
    near = (
        select(ConfirmedCase.study_id, ConfirmedCase.image_id, distance.label("distance"))
        .where(ConfirmedCase.settled, ConfirmedCase.bundle_sha256 == bundle_sha256)
        .order_by(distance)
        .limit(among)
        .cte("near")
        .prefix_with("MATERIALIZED")
    )
    shown = (
        select(near, Study.age_years, Study.state)
        .join(Study, Study.id == near.c.study_id)
        .where(
            Study.id != study.id,
            Study.state.in_([state.value for state in DONE]),
            Study.purpose == "current",
            Study.is_sample == study.is_sample,
            Study.signed_at <= func.now() - SETTLED_AFTER,
            ~exists().where(Review.study_id == Study.id, Review.final_at > func.now(), stands()),
            ~_same_patient(study),
            near.c.distance > -_SAME_PICTURE,
        )
        .order_by(near.c.distance)
        .limit(size)
        .cte("shown")
    )
    standing = (
        select(Review.verdict, Review.findings, Review.network_findings, Review.signed_at)
        .where(Review.study_id == shown.c.study_id, stands())
        .order_by(Review.sequence.desc())
        .limit(1)
        .lateral("standing")
    )
    signed = (
        select(
            func.array_agg(aggregate_order_by(Review.reviewer_name, Review.sequence)).label("reviewer_names")
        )
        .where(Review.study_id == shown.c.study_id, stands())
        .lateral("signed")
    )
    return (
        select(shown, standing, signed)
        .select_from(shown)
        .join(standing, literal(True))
        .join(signed, literal(True))
        .order_by(shown.c.distance)
    )


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


def _case(row: Any, *, hidden: bool) -> SimilarCase:
    names = tuple(dict.fromkeys(row.reviewer_names))
    return SimilarCase(
        study_id=row.study_id,
        image_id=row.image_id,
        likeness=min(-row.distance, 1.0),  # half precision rounds past it
        age_years=row.age_years,
        signed_at=row.signed_at,
        amended=row.state == State.AMENDED.value,
        verdict=None if hidden else row.verdict,
        findings=tuple(
            _judged(name, str(said), row.network_findings.get(name), hidden=hidden)
            for name, said in row.findings.items()
        ),
        readers=len(names),
        reader_names=names,
    )


def _judged(name: str, reader: str, network: dict[str, Any] | None, *, hidden: bool) -> FindingJudged:
    if hidden:
        return FindingJudged(name=name, reader=reader, verdict=None, probability=None, lane=None)
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
