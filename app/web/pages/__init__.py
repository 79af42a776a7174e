"""The pages people use: HTML made by Jinja, forms that post and redirect."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.pages import (
    account,
    adjudication,
    beside,
    candidate,
    conflicts,
    datasets,
    destinations,
    drafts,
    export,
    help,
    holding,
    layers,
    network,
    patients,
    people,
    provider,
    retraining,
    second_factor,
    second_opinions,
    shadow,
    showing,
    similar,
    site,
    snapshots,
    status,
    study,
    trail,
    training,
    undo,
    upload,
    worklist,
)
from app.web.pages.render import problem_page

__all__ = ["problem_page", "router"]

router = APIRouter(include_in_schema=False)
for _part in (
    account,
    provider,
    second_factor,
    adjudication,
    worklist,
    study,
    showing,
    undo,
    beside,
    second_opinions,
    holding,
    drafts,
    help,
    similar,
    upload,
    people,
    destinations,
    conflicts,
    trail,
    network,
    shadow,
    export,
    training,
    retraining,
    layers,
    candidate,
    site,
    patients,
    status,
    datasets,
    snapshots,
):
    router.include_router(_part.router)
