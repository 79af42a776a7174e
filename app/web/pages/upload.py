"""The upload page; its script posts each file to `POST /api/v1/studies`, the one way in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.domain.roles import Caller, Permission
from app.settings import settings
from app.web.auth import GuardedRoute, require
from app.web.pages.render import page

router = APIRouter(route_class=GuardedRoute)


@router.get("/upload")
def upload_page(request: Request, caller: Annotated[Caller, require(Permission.ADMIT)]) -> Response:
    """Takes files and folders, and says what became of each."""
    return page(request, "upload.html", caller=caller, largest=settings().max_file_bytes)
