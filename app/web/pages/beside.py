"""What the viewer shows beside a study: the two latest priors of its patient, each view of one on record."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter

from app.commands import viewing
from app.domain.roles import Caller, Permission
from app.language import _
from app.queries import studies
from app.queries.studies import StudyShown
from app.records.engine import transaction
from app.web.auth import GuardedRoute, require
from app.web.pages.pictures import plain_pictures_of
from app.web.pages.words import say_date

router = APIRouter(prefix="/studies/{study_id}", route_class=GuardedRoute)


@router.get("/pictures")
def pictures(study_id: UUID, caller: Annotated[Caller, require(Permission.READ)]) -> dict[str, Any]:
    """The images of a study, to be shown beside another; a view of it, on record like that of its page."""
    with transaction() as session:
        shown = studies.show(session, study_id=study_id, to=caller.actor)
        viewing.view(session, study_id=study_id, by=caller.actor, via="comparison")
    return {"images": plain_pictures_of(shown)}


def beside_of(study: StudyShown) -> dict[str, Any]:
    """`Beside` of app/web/viewer/src/source.ts: the study's day, and its priors without their pictures."""
    return {
        "date": say_date(study.study_date) or _("date not stated"),
        "priors": [
            {
                "study": str(prior.study_id),
                "date": say_date(prior.study_date) or _("date not stated"),
                "description": prior.study_description or "",
                "pictures": f"/studies/{prior.study_id}/pictures",
            }
            for prior in study.earlier
        ],
    }
