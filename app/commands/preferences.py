"""What a person has chosen: language, columns of the worklist, filters kept under a name, to read blind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.orm import Session

from app.commands import audit
from app.domain.roles import Actor
from app.errors import Conflict, Unprocessable
from app.language import languages
from app.records import User

COLUMNS = ("study", "reading", "waiting", "state")
"""Those that may be left out, in their order; lane and patient always stand."""
MOST_VIEWS = 20
_LONGEST_NAME = 40


def save_view(session: Session, *, by: Actor, name: str, query: str) -> None:
    """The filter, as an address holds it, is kept under the name; one of that name is replaced.

    Raises Unprocessable without a name or a filter, Conflict where there are `MOST_VIEWS`.
    """
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise Unprocessable(f"Give the view a name of 1 to {_LONGEST_NAME} characters.")
    if not query:
        raise Unprocessable("There is no filter to keep. Choose one first.")
    user = _user(session, by)
    others = [view for view in user.preferences.get("views", []) if view["name"] != name]
    if len(others) >= MOST_VIEWS:
        raise Conflict(f"You have {MOST_VIEWS} views. Forget one first.")
    _change(user, views=[*others, {"name": name, "query": query}])


def forget_view(session: Session, *, by: Actor, name: str) -> None:
    """No view of the reader has the name."""
    user = _user(session, by)
    _change(user, views=[view for view in user.preferences.get("views", []) if view["name"] != name])


def choose_columns(session: Session, *, by: Actor, columns: Sequence[str]) -> None:
    """The reader's worklist shows these columns besides lane and patient."""
    if unknown := set(columns) - set(COLUMNS):
        columns_unknown = ", ".join(sorted(unknown))
        raise Unprocessable(f"There is no column {columns_unknown}.")
    _change(_user(session, by), columns=[column for column in COLUMNS if column in columns])


def choose_language(session: Session, *, by: Actor, language: str | None) -> None:
    """The service speaks the language to the person; None: what their browser asks for.

    Raises Unprocessable for a language that has no catalogue.
    """
    if language is not None and language not in languages():
        raise Unprocessable("That language is not among those of this service.")
    _change(_user(session, by), language=language)


def hide_opinion(session: Session, *, by: Actor, hide: bool) -> None:
    """The network's opinion is shown to the person only where a verdict of their own stands, or no longer so.

    With the choice is kept the last reading there was: of those up to it they may have heard before.
    """
    user = _user(session, by)
    if hide == (user.preferences.get("opinion_after") is not None):
        return
    counter = cast(func.pg_get_serial_sequence("readings", "sequence"), REGCLASS)
    last = session.scalar(select(func.coalesce(func.pg_sequence_last_value(counter), 0))) if hide else None
    _change(user, opinion_after=last)
    audit.record(
        session, action="user.opinion-hidden" if hide else "user.opinion-shown", by=by, subject_id=user.id
    )


def offer_guide(session: Session, *, by: Actor, offer: bool) -> None:
    """The walk through a first case is offered on the pages of studies, or is not (any more)."""
    _change(_user(session, by), guide_seen=not offer)


def _user(session: Session, by: Actor) -> User:
    if by.kind != "user" or by.id is None:
        raise Unprocessable("Only people have preferences; this is a key.")
    return session.get_one(User, by.id, with_for_update=True)


def _change(user: User, **values: Any) -> None:
    user.preferences = user.preferences | values
