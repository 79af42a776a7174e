"""The worklist: one index range scan per page, however many studies there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, literal, select, tuple_
from sqlalchemy.orm import Session

from app.commands.blinding import harmless, hidden_from
from app.domain.order import Lane
from app.domain.roles import Actor
from app.domain.states import State
from app.queries.cursor import read_cursor, write_cursor
from app.queries.search import newest_found
from app.queries.why_here import why_here, why_placed
from app.queries.worklist_filter import WorklistFilter
from app.records import Reading, Study
from app.records.base import now


@dataclass(frozen=True, kw_only=True)
class WorklistEntry:
    """One row of the worklist, as whoever asked may see it."""

    study_id: UUID
    study_instance_uid: str
    patient_id: str
    patient_name: str | None
    patient_sex: str | None
    patient_birth_date: date | None
    age_years: float | None
    accession_number: str | None
    study_description: str | None
    modality: str | None
    station_name: str | None
    is_sample: bool
    priority: str
    purpose: str
    state: State
    reason: str | None
    revision: int
    arrived_at: datetime
    waiting_seconds: float
    """Since its arrival, signed or not."""
    blind: bool
    """The network's opinion is hidden from whoever asked: what tells of it is None or empty."""
    is_read: bool
    """The network has an opinion."""
    place: datetime
    """Where it stands: for the order of rows alone, which no blind reader can be spared."""
    rank_at: datetime | None
    hours_earlier: float | None
    """By how much the study is placed before its arrival."""
    lane: Lane | None
    urgency: float | None
    findings: dict[str, Any]
    notices: tuple[str, ...]
    awaits_network: bool
    """True where the network owes it a reading, be it the first or another."""
    why_unread: str | None
    """Why its latest reading says nothing; `reason` may tell why it was opened again."""
    why_here: str
    why_placed: str
    held_by: str | None
    held_since: datetime | None
    held_until: datetime | None
    signed_by: str | None
    signed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class WorklistPage:
    """Entries in order, and the cursor of the next page where there is one."""

    entries: tuple[WorklistEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class WorklistCounts:
    """What the page's head says; `oldest_unscreened_seconds` is None when nothing waits for the network."""

    unsigned: int
    unread_by_network: int
    """Those that the filter `unread` lists, held by somebody or not."""
    due_now: int
    """Placed before the moment that divides the list (`page`'s `rank_at`)."""
    oldest_unscreened_seconds: float | None


EVERY_STUDY = WorklistFilter()
_UNSIGNED = (Study.state.not_in([State.SIGNED.value, State.AMENDED.value]), Study.purpose == "current")
_DONE = (Study.state.in_([State.SIGNED.value, State.AMENDED.value]), Study.purpose == "current")
DUE_SINCE = func.coalesce(Study.screening_again_at, Study.arrived_at)
"""Since when a study that is due has waited for the network."""
_LATEST_READING = (
    select(Reading.findings, Reading.notices, Reading.outcome, Reading.reason)
    .where(Reading.study_id == Study.id)
    .order_by(Reading.sequence.desc())
    .limit(1)
    .lateral("reading")
)


def page(
    session: Session,
    *,
    cursor: str | None = None,
    size: int = 50,
    where: WorklistFilter = EVERY_STUDY,
    to: Actor,
) -> WorklistPage:
    """The next `size` unsigned studies after the cursor that pass the filter, first the one that can wait
    least. `to` is who asks: a filter may speak of the studies they hold, and some they read blind.

    Raises BadRequest for a cursor that is none of ours.
    """
    hidden = hidden_from(session, to)
    statement = (
        _with_reading(hidden)
        .where(*_UNSIGNED, *_conditions(where, to, hidden))
        .order_by(Study.rank_at, Study.id)
        .limit(size + 1)
    )
    if cursor is not None:
        after = read_cursor(
            cursor, look_up=lambda id_: session.scalar(select(Study.rank_at).where(Study.id == id_))
        )
        statement = statement.where(tuple_(Study.rank_at, Study.id) > after)
    rows = session.execute(statement).all()
    entries = tuple(_entry(row) for row in rows[:size])
    last = entries[-1] if len(rows) > size else None
    return WorklistPage(entries=entries, next_cursor=_after(last) if last else None)


def _after(last: WorklistEntry) -> str:
    """Its place goes with the cursor unless that tells what is hidden. Until the network has read a study it
    tells nothing, and has to go with it: what it reads meanwhile moves away.
    """
    tells = last.blind and last.is_read and not last.awaits_network
    return write_cursor(None if tells else last.place, last.study_id)


def done(
    session: Session, *, since: datetime, to: Actor, cursor: str | None = None, size: int = 50
) -> WorklistPage:
    """What was signed since then, the newest first. Raises BadRequest for a cursor that is none of ours."""
    statement = (
        _with_reading(hidden_from(session, to))
        .where(*_DONE, Study.signed_at >= since)
        .order_by(Study.signed_at.desc(), Study.id.desc())
        .limit(size + 1)
    )
    if cursor is not None:
        statement = statement.where(tuple_(Study.signed_at, Study.id) < read_cursor(cursor))
    rows = session.execute(statement).all()
    more = len(rows) > size
    last = rows[size - 1][0] if more else None
    return WorklistPage(
        entries=tuple(_entry(row) for row in rows[:size]),
        next_cursor=write_cursor(last.signed_at, last.id) if last and last.signed_at else None,
    )


def search(session: Session, *, text: str, to: Actor, size: int = 50) -> WorklistPage:
    """The newest `size` studies of this patient ID, accession number or name, signed ones and priors too.

    Raises BadRequest for a text that is too short or too long.
    """
    found = newest_found(session, wanted=text, size=size)
    studies = _with_reading(hidden_from(session, to)).where(Study.id.in_(found))
    rows = session.execute(studies.order_by(Study.arrived_at.desc(), Study.id.desc())).all()
    return WorklistPage(entries=tuple(_entry(row) for row in rows), next_cursor=None)


def passing(
    session: Session, *, study_ids: Sequence[UUID], where: WorklistFilter, to: Actor
) -> frozenset[UUID]:
    """Those of the studies that are unsigned and pass the filter."""
    return frozenset(
        session.scalars(
            select(Study.id)
            .outerjoin(_LATEST_READING, literal(True))
            .where(
                Study.id.in_(study_ids),
                *_UNSIGNED,
                *_conditions(where, to, hidden_from(session, to)),
            )
        )
    )


def _conditions(where: WorklistFilter, to: Actor, hidden: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    return where.conditions(reader=to.name, findings=_LATEST_READING.c.findings, hidden=hidden)


def _with_reading(hidden: ColumnElement[bool]) -> Select[Any]:
    said = _LATEST_READING.c
    found = select(Study, said.findings, said.notices, said.outcome, said.reason, hidden.label("hidden"))
    return found.outerjoin(_LATEST_READING, literal(True))


def entries(session: Session, *, study_ids: Sequence[UUID], to: Actor) -> tuple[WorklistEntry, ...]:
    """These studies as the worklist shows them now, signed ones too; unknown ids are left out."""
    rows = session.execute(_with_reading(hidden_from(session, to)).where(Study.id.in_(study_ids))).all()
    return tuple(_entry(row) for row in rows)


def counts(
    session: Session, *, due_before: datetime, to: Actor, where: WorklistFilter = EVERY_STUDY
) -> WorklistCounts:
    """How many that pass the filter wait, how many of them are placed before a moment, and how long the
    oldest of all has waited for the network.
    """
    counted = select(
        func.count(),
        func.count().filter(Study.lane.is_(None)),
        func.count().filter(Study.rank_at <= due_before),
    ).select_from(Study)
    if where.finding is not None:
        counted = counted.outerjoin(_LATEST_READING, literal(True))
    conditions = _conditions(where, to, hidden_from(session, to))
    unsigned, unread_count, due = session.execute(counted.where(*_UNSIGNED, *conditions)).one()
    oldest = session.scalar(select(func.min(DUE_SINCE)).where(Study.screening_due))
    return WorklistCounts(
        unsigned=unsigned,
        unread_by_network=unread_count,
        due_now=due,
        oldest_unscreened_seconds=(now() - oldest).total_seconds() if oldest else None,
    )


def stations(session: Session, *, most: int = 50) -> tuple[str, ...]:
    """StationNames of the unsigned studies, sorted; the first `most`."""
    found = session.scalars(
        select(Study.station_name)
        .where(*_UNSIGNED, Study.station_name.is_not(None))
        .distinct()
        .order_by(Study.station_name)
        .limit(most)
    )
    return tuple(name for name in found if name)


def _entry(row: Row[Any]) -> WorklistEntry:
    """From a row of `_with_reading`."""
    return entry_of(row.Study, reading=row, hidden=row.hidden)


def entry_of(study: Study, *, reading: Reading | Row[Any] | None, hidden: bool) -> WorklistEntry:
    """The worklist's view of a study, by its latest reading; nothing of its opinion where it is `hidden`."""
    hours = None if hidden else (study.arrived_at - study.rank_at).total_seconds() / 3600
    outcome, unread = (reading.outcome, reading.reason) if reading else (None, None)
    findings, notices = (reading.findings or {}, reading.notices or []) if reading else ({}, [])
    notices = harmless(notices, findings) if hidden else notices
    findings = {} if hidden else findings
    return WorklistEntry(
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        patient_sex=study.patient_sex,
        patient_birth_date=study.patient_birth_date,
        age_years=study.age_years,
        accession_number=study.accession_number,
        study_description=study.study_description,
        modality=study.modality,
        station_name=study.station_name,
        is_sample=study.is_sample,
        priority=study.priority,
        purpose=study.purpose,
        state=State(study.state),
        reason=study.reason,
        revision=study.revision,
        arrived_at=study.arrived_at,
        waiting_seconds=(now() - study.arrived_at).total_seconds(),
        blind=hidden,
        is_read=study.lane is not None,
        place=study.rank_at,
        rank_at=None if hidden else study.rank_at,
        hours_earlier=hours,
        lane=Lane(study.lane) if study.lane and not hidden else None,
        urgency=None if hidden else study.urgency,
        findings=findings,
        notices=tuple(notices),
        awaits_network=study.screening_due,
        why_unread=unread,
        why_here=why_here(study, outcome=outcome, findings=findings, hours=hours),
        why_placed=why_placed(study, hours=hours),
        held_by=study.claimed_by_name,
        held_since=study.claimed_at,
        held_until=study.claim_expires_at,
        signed_by=study.signed_by_name,
        signed_at=study.signed_at,
    )
