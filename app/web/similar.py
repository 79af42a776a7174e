"""Similar confirmed cases for whoever asks: looked up, and on record, in one transaction."""

from __future__ import annotations

from uuid import UUID

from app.commands import viewing
from app.domain.roles import Actor, Permission
from app.queries import similar
from app.queries.similar import SimilarCases
from app.records.engine import transaction

SHOWN = 8
MOST = 24


def similar_to(study_id: UUID, *, by: Actor, size: int = SHOWN) -> SimilarCases:
    """The nearest cases; that they were seen is on record for each of them."""
    with transaction() as session:
        found = similar.similar(session, study_id=study_id, size=size, to=by)
        viewing.compare(
            session,
            study_id=study_id,
            cases=[case.study_id for case in found.cases],
            bundle_sha256=found.bundle_sha256,
            by=by,
        )
    return found


def may_know_names(by: Actor) -> bool:
    """Who signed a case is for those who may know who did what; to all others a case has so many readers.

    A case should weigh by what was seen in it, not by who saw it.
    """
    return by.may(Permission.READ_AUDIT)
