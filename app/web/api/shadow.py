"""A candidate's run in shadow."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.commands import shadow as commands
from app.domain.proportion import Proportion
from app.domain.roles import Caller, Permission
from app.queries.shadow import ShadowShown, shadow_shown
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1/models/{sha256}/shadow", route_class=GuardedRoute, tags=["network"])
_Trainer = Annotated[Caller, require(Permission.TRAIN)]


class Share(BaseModel):
    """What was counted, and the 95% interval of the share."""

    hits: int
    trials: int
    low: float | None
    high: float | None


class LanePair(BaseModel):
    """Studies on which the two named these lanes."""

    active: str
    candidate: str
    studies: int


class RightShown(BaseModel):
    """How often each was right on signed studies."""

    blind: bool = Field(
        description="True for readers who had not seen the opinion; others favour the active."
    )
    active: Share
    candidate: Share


class ShadowAnswer(BaseModel):
    """The run, and what the candidate said beside the active bundle."""

    runs: bool
    begun_at: datetime | None
    begun_by: str | None
    ended_at: datetime | None
    unread: int
    studies: int
    agreement: Share
    lanes: list[LanePair]
    only_active: int
    only_candidate: int
    neither: int
    earlier: int = Field(description="Studies that would stand earlier on the worklist.")
    later: int
    mean_difference: float | None
    mean_distance: float | None
    right: list[RightShown]


@router.get("", summary="A shadow run", responses=problems_of(401, 403, 404))
def get_shadow(sha256: str, caller: _Trainer) -> ShadowAnswer:
    """The one that runs, or the last; counts are zero where there was none."""
    return _answer(sha256, caller)


@router.post("", summary="Begin a shadow run", responses=problems_of(401, 403, 404, 409))
def post_shadow(sha256: str, caller: _Trainer) -> ShadowAnswer:
    """From now on the bundle also reads what the active one reads; one at a time."""
    with transaction() as session:
        commands.begin(session, sha256=sha256, by=caller.actor)
    return _answer(sha256, caller)


@router.delete("", summary="End a shadow run", responses=problems_of(401, 403, 404))
def delete_shadow(sha256: str, caller: _Trainer) -> ShadowAnswer:
    """It reads no more; what it has read stays."""
    with transaction() as session:
        commands.end(session, sha256=sha256, by=caller.actor)
    return _answer(sha256, caller)


def _answer(sha256: str, caller: Caller) -> ShadowAnswer:
    with transaction() as session:
        shown = shadow_shown(session, sha256=sha256, credits=settings().credits, to=caller.actor)
    return _told(shown)


def _told(shown: ShadowShown) -> ShadowAnswer:
    return ShadowAnswer(
        runs=shown.runs,
        begun_at=shown.begun_at,
        begun_by=shown.begun_by,
        ended_at=shown.ended_at,
        unread=shown.unread,
        studies=shown.studies,
        agreement=_share(shown.agreement),
        lanes=[
            LanePair(active=active, candidate=candidate, studies=count)
            for (active, candidate), count in sorted(shown.lanes.items())
        ],
        only_active=shown.only_active,
        only_candidate=shown.only_candidate,
        neither=shown.neither,
        earlier=shown.earlier,
        later=shown.later,
        mean_difference=shown.mean_difference,
        mean_distance=shown.mean_distance,
        right=[
            RightShown(blind=one.blind, active=_share(one.active), candidate=_share(one.candidate))
            for one in shown.right
        ],
    )


def _share(part: Proportion) -> Share:
    low, high = part.interval or (None, None)
    return Share(hits=part.hits, trials=part.trials, low=low, high=high)
