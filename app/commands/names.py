"""Names of people and keys: claims show them, so no two are alike."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session


def take_turns(session: Session) -> None:
    """Until the commit nobody else gives a name, so that whoever looked for one has seen all."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('names', 0))"))
