"""How the active network did on this site's own signed studies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.domain.order import Lane
from app.domain.proportion import Proportion
from app.records import Adjudication, Review, Study
from app.records.review import stands

NEWEST = 2000
"""Reviews that are looked at: enough for the figures, few enough for a page."""

ADJUDICATED_NEEDED = 600
"""Studies with the finding that a site must have adjudicated before a bound on misses is its own."""


@dataclass(frozen=True, kw_only=True)
class SiteFigures:
    """Of one finding, over the newest signed studies that the bundle had read. A study's last review counts;
    samples, and studies whose finding was left uncertain, do not.
    """

    finding: str
    since: datetime | None
    prevalence: Proportion
    """Studies with the finding among all."""
    called_right: Proportion
    """Studies with the finding among those called present: the positive predictive value."""
    ruled_in_right: Proportion
    ruled_out_right: Proportion
    """Studies without the finding among those ruled out: the negative predictive value of the lane."""
    missed: Proportion
    """Studies ruled out among those with the finding."""


def site_figures(session: Session, *, bundle_sha256: str, findings: Sequence[str]) -> tuple[SiteFigures, ...]:
    """One of each finding, counted from the last `NEWEST` reviews of all bundles."""
    return tuple(
        _of_finding(finding, _newest(session, bundle_sha256=bundle_sha256, finding=finding))
        for finding in findings
    )


def _newest(session: Session, *, bundle_sha256: str, finding: str) -> list[Row[Any]]:
    """Of every study the last review among the newest, if it is of this bundle. Only what is counted is
    taken out of the documents: they hold maps.
    """
    opinion = Review.network_findings[finding]
    newest = session.execute(
        select(
            Review.study_id,
            Review.bundle_sha256,
            Review.signed_at,
            Review.findings[finding].as_string().label("said"),
            opinion["lane"].as_string().label("lane"),
            opinion["present"].as_boolean().label("present"),
        )
        .join(Study, Study.id == Review.study_id)
        .where(Study.is_sample.is_(False), stands())
        .order_by(Review.sequence.desc())
        .limit(NEWEST)
    ).all()
    standing = {row.study_id: row for row in reversed(newest)}
    return [row for row in standing.values() if row.bundle_sha256 == bundle_sha256]


def adjudicated(session: Session, *, findings: Sequence[str]) -> dict[str, int]:
    """Of each finding, the studies with it that were adjudicated by a reader who had not seen the opinion."""
    verdicts = session.scalars(
        select(Review.findings)
        .join(Adjudication, Adjudication.review_id == Review.id)
        .join(Study, Study.id == Review.study_id)
        .where(Review.blind, ~Adjudication.by_a_party, ~Study.is_sample, ~Study.disputed, stands())
    ).all()
    return {finding: sum(verdict.get(finding) == "present" for verdict in verdicts) for finding in findings}


def _of_finding(finding: str, reviews: Sequence[Row[Any]]) -> SiteFigures:
    told = [row for row in reviews if row.said in ("present", "absent") and row.lane is not None]
    has = [(row.said == "present", row) for row in told]
    return SiteFigures(
        finding=finding,
        since=min((row.signed_at for row in told), default=None),
        prevalence=_share(truth for truth, _ in has),
        called_right=_share(truth for truth, row in has if row.present),
        ruled_in_right=_share(truth for truth, row in has if row.lane == Lane.RULE_IN),
        ruled_out_right=_share(not truth for truth, row in has if row.lane == Lane.RULE_OUT),
        missed=_share(row.lane == Lane.RULE_OUT for truth, row in has if truth),
    )


def _share(hits: Iterable[bool]) -> Proportion:
    counted = list(hits)
    return Proportion(hits=sum(counted), trials=len(counted))
