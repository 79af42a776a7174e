"""What the network's page says of the site's own studies: who is counted, and as what."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.blobs import Blobs
from app.commands.review import Statement
from app.domain.order import Lane
from app.domain.proportion import Proportion
from app.queries import site_figures as counted
from app.queries.site_figures import SiteFigures, site_figures
from app.records import Study
from app.records.engine import transaction
from tests.builders import BUNDLE, a_signed_study, sign


def figures(bundle: str = BUNDLE) -> SiteFigures:
    with transaction() as session:
        [of_pneumonia] = site_figures(session, bundle_sha256=bundle, findings=["pneumonia"])
    return of_pneumonia


def test_a_site_where_nobody_has_signed_has_no_shares(session: Session) -> None:
    assert figures().prevalence == Proportion(0, 0)
    assert figures().called_right.share is None
    assert figures().since is None


def test_each_signed_study_counts_once_by_its_last_review(session: Session, blobs: Blobs) -> None:
    a_signed_study(blobs, probability=0.9)
    a_signed_study(blobs, probability=0.9, say=Statement.ABSENT)
    a_signed_study(blobs, probability=0.01, lane=Lane.RULE_OUT)
    missed = a_signed_study(blobs, probability=0.01, lane=Lane.RULE_OUT)
    a_signed_study(blobs, probability=0.7, lane=Lane.ABSTAIN)
    sign(missed, say=Statement.PRESENT)
    found = figures()
    assert found.prevalence == Proportion(3, 5)
    assert found.called_right == Proportion(2, 3)
    assert found.ruled_in_right == Proportion(1, 2)
    assert found.ruled_out_right == Proportion(1, 2)
    assert found.missed == Proportion(1, 3)


def test_samples_uncertain_findings_and_other_bundles_are_not_counted(session: Session, blobs: Blobs) -> None:
    a_signed_study(blobs, say=Statement.UNCERTAIN)
    sample = a_signed_study(blobs)
    with transaction() as writing:
        writing.execute(update(Study).where(Study.id == sample).values(is_sample=True))
    assert figures().prevalence == Proportion(0, 0)
    a_signed_study(blobs)
    assert figures().prevalence == Proportion(1, 1)
    assert figures(bundle="c" * 64).prevalence == Proportion(0, 0)


def test_only_the_newest_reviews_are_counted(
    session: Session, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "NEWEST", 2)
    a_signed_study(blobs, say=Statement.ABSENT)
    a_signed_study(blobs)
    a_signed_study(blobs)
    assert figures().prevalence == Proportion(2, 2)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 20, 0, 0.1611), (9, 10, 0.5958, 0.9821), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(hits: int, trials: int, low: float, high: float) -> None:
    assert Proportion(hits, trials).interval == pytest.approx((low, high), abs=5e-5)
