"""All that a study's page is made of, in one transaction, and whether two pages were made of the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from app.domain.roles import Actor
from app.queries import adjudication, second_opinions, studies
from app.queries.adjudication import Dispute
from app.queries.bundles import BundleShown, bundles
from app.queries.history import Happening, lost_to
from app.queries.second_opinions import Colleague
from app.queries.studies import StudyShown


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What the page says of the study, as one reader may see it."""

    shown: StudyShown
    bundles: tuple[BundleShown, ...]
    dispute: Dispute | None
    colleagues: tuple[Colleague, ...]
    lost: Happening | None
    """The take-over by which the reader lost the study."""

    @property
    def lasting(self) -> str:
        """The same text for as long as the page would say the same; how long the study waits is left out."""
        entry = replace(self.shown.entry, waiting_seconds=0.0)
        known = tuple((bundle.sha256, bundle.active) for bundle in self.bundles)
        return repr((replace(self.shown, entry=entry), known, self.dispute, self.colleagues, self.lost))


def facts(session: Session, *, study_id: UUID, to: Actor) -> StudyFacts:
    """What `to` may see of the study now; NotFound where there is none."""
    return StudyFacts(
        shown=studies.show(session, study_id=study_id, to=to),
        bundles=bundles(session),
        dispute=adjudication.of_study(session, study_id=study_id, who=to),
        colleagues=second_opinions.colleagues(session, of=to),
        lost=lost_to(session, study_id=study_id, reader=to.name),
    )
