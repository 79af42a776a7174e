"""What a reader has chosen."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands.preferences import COLUMNS
from app.records import User


@dataclass(frozen=True)
class View:
    """A filter kept under a name; `query` is what stands in the address."""

    name: str
    query: str


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """Columns shown besides lane and patient, and the views in the order in which they were kept."""

    columns: tuple[str, ...] = COLUMNS
    views: tuple[View, ...] = ()
    reads_blind: bool = False
    """The network's opinion is shown to them after their own verdict only."""

    guide_seen: bool = False
    """They have seen the walk through a first case, or do not want it."""

    @property
    def hidden(self) -> tuple[str, ...]:
        """The columns that are not shown."""
        return tuple(column for column in COLUMNS if column not in self.columns)


def of_user(session: Session, *, user_id: UUID | None) -> Preferences:
    """Those of a person; the usual ones of a key and of whoever has chosen nothing."""
    chosen = session.scalar(select(User.preferences).where(User.id == user_id)) if user_id else None
    if not chosen:
        return Preferences()
    return Preferences(
        columns=tuple(chosen.get("columns", COLUMNS)),
        views=tuple(View(view["name"], view["query"]) for view in chosen.get("views", ())),
        reads_blind=chosen.get("opinion_after") is not None,
        guide_seen=bool(chosen.get("guide_seen")),
    )
