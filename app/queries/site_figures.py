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
    newest = session.execute(
        select(
            Review.study_id,
            Review.bundle_sha256,
            Review.findings,
            Review.network_findings,
            Review.signed_at,
        )
        .join(Study, Study.id == Review.study_id)
        .where(Study.is_sample.is_(False), stands())
        .order_by(Review.sequence.desc())
        .limit(NEWEST)
    ).all()
    standing = {row.study_id: row for row in reversed(newest)}
    by_bundle = [row for row in standing.values() if row.bundle_sha256 == bundle_sha256]
    return tuple(_of_finding(finding, by_bundle) for finding in findings)


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
    told = [
        (row.findings[finding] == "present", row.network_findings[finding], row.signed_at)
        for row in reviews
        if row.findings.get(finding) in ("present", "absent") and finding in row.network_findings
    ]
    lanes = [(truth, opinion["lane"]) for truth, opinion, _ in told]
    return SiteFigures(
        finding=finding,
        since=min((signed_at for _, _, signed_at in told), default=None),
        prevalence=_share(truth for truth, _, _ in told),
        called_right=_share(truth for truth, opinion, _ in told if opinion["present"]),
        ruled_in_right=_share(truth for truth, lane in lanes if lane == Lane.RULE_IN),
        ruled_out_right=_share(not truth for truth, lane in lanes if lane == Lane.RULE_OUT),
        missed=_share(lane == Lane.RULE_OUT for truth, lane in lanes if truth),
    )


def _share(hits: Iterable[bool]) -> Proportion:
    counted = list(hits)
    return Proportion(hits=sum(counted), trials=len(counted))
