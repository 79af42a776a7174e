"""The bundles that read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from app.domain.roles import Caller, Permission
from app.queries import bundles as queries
from app.records.engine import transaction
from app.web.api.shown import Answer
from app.web.auth import GuardedRoute, require
from app.web.openapi import problems_of

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute, tags=["network"])


class Model(Answer):
    """A registered bundle."""

    sha256: str
    name: str
    version: str
    active: bool = Field(description="True for the one that reads now.")
    registered_at: datetime
    registered_by: str
    manifest: dict[str, Any]


@router.get("/models", summary="Registered bundles", responses=problems_of(401, 403))
def get_models(_caller: Annotated[Caller, require(Permission.READ_MODELS)]) -> list[Model]:
    """The newest first; `active` marks the one that reads."""
    with transaction() as session:
        found = queries.bundles(session)
    return [Model.model_validate(bundle) for bundle in found]
