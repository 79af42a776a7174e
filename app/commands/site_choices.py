"""Choices of administrators for the whole site."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.roles import Actor
from app.records import SiteChoice
from app.records.base import now


def choose(session: Session, *, name: str, value: Any, by: Actor) -> tuple[bool, Any]:
    """The choice is this one from now on. Whether that changes anything, and what was chosen before (None:
    nothing); the same again leaves the row as it is.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('site choices', 0))"))
    chosen = session.get(SiteChoice, name, with_for_update=True)
    if chosen is None:
        session.add(SiteChoice(name=name, value=value, chosen_by_name=by.name))
        session.flush()
        return True, None
    before = chosen.value
    if before != value:
        chosen.value, chosen.chosen_at, chosen.chosen_by_name = value, now(), by.name
    return before != value, before
