"""Which study a reader is led to: by a signature, and by going on without one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, literal, select, tuple_
from sqlalchemy.orm import Session

from app.commands.second_opinions import is_asked_by
from app.domain.states import State
from app.records import Study

_NOT_TO_BE_OPENED = [state.value for state in (State.SIGNED, State.AMENDED, State.ADMITTED, State.SCREENING)]


def next_after(session: Session, *, study_id: UUID | None, reader: str) -> UUID | None:
    """The unsigned study that a signature on this one leads the reader to: the first that is screened, that
    nobody else holds, and of which they have not asked a colleague who has yet to answer.
    """
    return session.scalar(_open_to(reader, but=study_id).limit(1))


def following(session: Session, *, study_id: UUID, reader: str) -> UUID | None:
    """The first of those whose place is after this study's, and after the last place the first of all:
    whoever signs nothing comes to each of them. None where there is no other.
    """
    others = _open_to(reader, but=study_id)
    place = session.execute(select(Study.rank_at, Study.id).where(Study.id == study_id)).one_or_none()
    later = place and session.scalar(
        others.where(tuple_(Study.rank_at, Study.id) > tuple_(place.rank_at, place.id)).limit(1)
    )
    return later or session.scalar(others.limit(1))


def _open_to(reader: str, *, but: UUID | None) -> Select[UUID]:
    return (
        select(Study.id)
        .where(
            Study.state.not_in(_NOT_TO_BE_OPENED),
            Study.purpose == "current",
            (Study.state != State.CLAIMED.value) | (Study.claimed_by_name == reader),
            ~is_asked_by(reader),
            Study.id != but if but else literal(True),
        )
        .order_by(Study.rank_at, Study.id)
    )
