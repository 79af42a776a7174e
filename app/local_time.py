"""Moments in the site's own time."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.settings import settings


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def local(moment: datetime) -> datetime:
    """The moment in the site's zone; in UTC where the site names a zone that does not exist."""
    return moment.astimezone(_zone(settings().time_zone) or UTC)
