"""What a candidate said in shadow, beside what the active bundle said of the same studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, any_, bindparam, select
from sqlalchemy.orm import Session

from app.commands.blinding import hidden_from
from app.commands.shadow import KIND, unread_count
from app.domain.order import Credits, Lane
from app.domain.proportion import Proportion
from app.domain.roles import Actor, Permission
from app.errors import NotFound
from app.queries.bundles import BundleShown, bundles
from app.queries.jobs import JobShown, job_of
from app.records import Reading, Review, Shadow, ShadowReading, Study
from app.records.review import stands

NEWEST = 1000
"""Readings that are compared at most."""
_LISTED = 50
_POINTS = 500
LANES = (Lane.RULE_IN.value, Lane.ABSTAIN.value, Lane.RULE_OUT.value)


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A study on whose lane the two differ; None where one of them did not read it."""

    study_id: UUID
    read_at: datetime
    active: str | None
    candidate: str | None
    active_probability: float | None
    candidate_probability: float | None


@dataclass(frozen=True, kw_only=True)
class Right:
    """Of signed studies, how often each was right; `blind`: their readers had not seen the opinion."""

    blind: bool
    active: Proportion
    candidate: Proportion


@dataclass(frozen=True, kw_only=True)
class ShadowShown:
    """A bundle's run in shadow: the one that runs, or the last."""

    bundle: BundleShown
    active: BundleShown | None
    finding: str | None
    """The first finding that ranks, of which probabilities and verdicts are compared."""
    begun_at: datetime | None
    begun_by: str | None
    ended_at: datetime | None
    ended_by: str | None
    other_runs: bool
    """Another bundle runs in shadow."""
    job: JobShown | None
    unread: int
    studies: int
    lanes: dict[tuple[str, str], int]
    """(active, candidate) to studies that both screened."""
    only_active: int
    """Studies that the active bundle screened and the candidate withheld or failed."""
    only_candidate: int
    neither: int
    earlier: int
    """Studies that would stand earlier on the worklist."""
    later: int
    mean_difference: float | None
    """Candidate less active, of the finding's probability."""
    mean_distance: float | None
    points: tuple[tuple[float, float], ...]
    """Probabilities, active and candidate."""
    right: tuple[Right, ...]
    disagreements: tuple[Disagreement, ...]
    hidden: int
    """Disagreements that are not listed, because the opinion is hidden from the one who looks."""

    @property
    def runs(self) -> bool:
        """It has begun and not ended."""
        return self.begun_at is not None and self.ended_at is None

    @property
    def agreement(self) -> Proportion:
        """Studies on whose lane both agree, of those that both screened."""
        same = sum(count for (active, candidate), count in self.lanes.items() if active == candidate)
        return Proportion(hits=same, trials=sum(self.lanes.values()))


def shadow_shown(session: Session, *, sha256: str, credits: Credits, to: Actor) -> ShadowShown:
    """Raises NotFound where there is no such bundle."""
    known = {bundle.sha256: bundle for bundle in bundles(session)}
    if sha256 not in known:
        raise NotFound("There is no such bundle.")
    shadow = session.scalars(
        select(Shadow).where(Shadow.bundle_sha256 == sha256).order_by(Shadow.begun_at.desc()).limit(1)
    ).one_or_none()
    others = session.scalar(
        select(Shadow.id).where(Shadow.ended_at.is_(None), Shadow.bundle_sha256 != sha256).limit(1)
    )
    finding = _finding(known[sha256])
    rows = _rows(session, shadow, finding) if shadow is not None else []
    differing = [row for row in rows if row.lane != row.shadow_lane]
    listed = _not_hidden(session, differing, to=to)
    pairs = [(row.active, row.candidate) for row in rows if _has_both(row)]
    alike = Counter((row.order_credit, row.lane, row.shadow_lane) for row in rows)
    moves: Counter[int] = Counter()
    for (credit, lane, shadow_lane), studies in alike.items():
        moves[_move(credit, lane, shadow_lane, credits)] += studies
    differences = [candidate - active for active, candidate in pairs]
    return ShadowShown(
        bundle=known[sha256],
        active=next((bundle for bundle in known.values() if bundle.active), None),
        finding=finding,
        begun_at=shadow.begun_at if shadow else None,
        begun_by=shadow.begun_by_name if shadow else None,
        ended_at=shadow.ended_at if shadow else None,
        ended_by=shadow.ended_by_name if shadow else None,
        other_runs=others is not None,
        job=job_of(session, subject_id=shadow.id, kind=KIND) if shadow else None,
        unread=unread_count(session, shadow) if shadow and shadow.ended_at is None else 0,
        studies=len(rows),
        lanes=dict(Counter((row.lane, row.shadow_lane) for row in rows if row.lane and row.shadow_lane)),
        only_active=sum(bool(row.lane) and not row.shadow_lane for row in rows),
        only_candidate=sum(bool(row.shadow_lane) and not row.lane for row in rows),
        neither=sum(not row.lane and not row.shadow_lane for row in rows),
        earlier=moves[1],
        later=moves[-1],
        mean_difference=_mean(differences),
        mean_distance=_mean([abs(value) for value in differences]),
        points=tuple(pairs[:_POINTS]),
        right=_right(session, rows, finding),
        disagreements=tuple(
            Disagreement(
                study_id=row.study_id,
                read_at=row.read_at,
                active=row.lane,
                candidate=row.shadow_lane,
                active_probability=row.active,
                candidate_probability=row.candidate,
            )
            for row in listed[:_LISTED]
        ),
        hidden=len(differing) - len(listed),
    )


def _rows(session: Session, shadow: Shadow, finding: str | None) -> list[Row[Any]]:
    """Of each study the last reading that has one in shadow, those read last first."""
    active, candidate = Reading.findings[finding or ""], ShadowReading.findings[finding or ""]
    rows = session.execute(
        select(
            Reading.study_id,
            Reading.read_at,
            Reading.lane,
            ShadowReading.lane.label("shadow_lane"),
            active["probability"].as_float().label("active"),
            candidate["probability"].as_float().label("candidate"),
            active["present"].as_boolean().label("present"),
            candidate["present"].as_boolean().label("shadow_present"),
            Study.order_credit,
        )
        .join(ShadowReading, ShadowReading.reading_id == Reading.id)
        .join(Study, Study.id == Reading.study_id)
        .where(ShadowReading.shadow_id == shadow.id)
        .order_by(ShadowReading.read_at.desc(), Reading.sequence.desc())
        .limit(NEWEST)
    ).all()
    newest: dict[UUID, Row[Any]] = {}
    for row in rows:
        newest.setdefault(row.study_id, row)
    return list(newest.values())


def _not_hidden(session: Session, rows: Sequence[Row[Any]], *, to: Actor) -> list[Row[Any]]:
    """Those whose opinions may be shown."""
    if not to.may(Permission.READ) or not rows:
        return []
    asked = select(Study.id).where(_among(Study.id, rows), ~hidden_from(session, to))
    shown = set(session.scalars(asked))
    return [row for row in rows if row.study_id in shown]


def _among(column: Any, rows: Sequence[Row[Any]]) -> Any:
    """As SQL: it is the study of one of the rows; one parameter, however many they are."""
    return column == any_(bindparam("studies", [row.study_id for row in rows], type_=ARRAY(Uuid)))


def _has_both(row: Row[Any]) -> bool:
    return row.active is not None and row.candidate is not None


def _finding(bundle: BundleShown) -> str | None:
    stated = bundle.manifest.get("findings")
    named = [one for one in stated if isinstance(one, dict)] if isinstance(stated, list) else []
    return next((str(one["name"]) for one in named if "name" in one and not one.get("research")), None)


def _move(credit: timedelta, lane: str | None, shadow_lane: str | None, credits: Credits) -> int:
    """1 where the study would stand earlier, -1 where later."""
    active, candidate = (
        max(credit, credits.of_network(Lane(named) if named else None), timedelta(0))
        for named in (lane, shadow_lane)
    )
    return int(candidate > active) - int(candidate < active)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _right(session: Session, rows: Sequence[Row[Any]], finding: str | None) -> tuple[Right, ...]:
    """Of studies signed since, by the verdict that stands; uncertain ones and samples do not count."""
    of_study = {row.study_id: row for row in rows if _has_both(row)}
    if not of_study or finding is None:
        return ()
    verdicts = session.execute(
        select(Review.study_id, Review.blind, Review.findings[finding].as_string().label("said"))
        .join(Study, Study.id == Review.study_id)
        .where(_among(Review.study_id, list(of_study.values())), ~Study.is_sample, stands())
        .order_by(Review.sequence)
    ).all()
    last = {row.study_id: row for row in verdicts}
    told = [row for row in last.values() if row.said in ("present", "absent")]
    found = []
    for blind in (True, False):
        kind = [(row.said == "present", of_study[row.study_id]) for row in told if row.blind is blind]
        found.append(
            Right(
                blind=blind,
                active=_share(row.present is truth for truth, row in kind),
                candidate=_share(row.shadow_present is truth for truth, row in kind),
            )
        )
    return tuple(found)


def _share(hits: Iterable[bool]) -> Proportion:
    counted = list(hits)
    return Proportion(hits=sum(counted), trials=len(counted))
