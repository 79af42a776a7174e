"""Pages for people."""

from __future__ import annotations

from fastapi import APIRouter

from app.web.auth import GuardedRoute
from app.web.problems import plain_problem_page as problem_page

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

__all__ = ["problem_page", "router"]
