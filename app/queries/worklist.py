"""The worklist: one index range scan per page, however many studies there are."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.orm import Session

from app.domain.order import Lane
from app.domain.states import State
from app.errors import BadRequest
from app.records import Reading, Study
from app.records.base import now


@dataclass(frozen=True, kw_only=True)
class WorklistEntry:
    """One row of the worklist."""

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
    state: State
    reason: str | None
    revision: int
    arrived_at: datetime
    waiting_seconds: float
    rank_at: datetime
    hours_earlier: float
    """By how much the study is placed before its arrival."""
    lane: Lane | None
    urgency: float | None
    findings: dict[str, Any]
    notices: tuple[str, ...]
    awaits_network: bool
    """True where the network owes it a reading, be it the first or another."""
    why_here: str
    held_by: str | None
    held_until: datetime | None


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
    oldest_unscreened_seconds: float | None


_UNSIGNED = (Study.state.not_in([State.SIGNED.value, State.AMENDED.value]), Study.purpose == "current")
DUE_SINCE = func.coalesce(Study.screening_again_at, Study.arrived_at)
"""Since when a study that is due has waited for the network."""
_LATEST_READING = (
    select(Reading.findings, Reading.notices)
    .where(Reading.study_id == Study.id)
    .order_by(Reading.sequence.desc())
    .limit(1)
    .lateral("reading")
)


def page(session: Session, *, cursor: str | None = None, size: int = 50) -> WorklistPage:
    """The next `size` unsigned studies after the cursor, first the one that can wait least.

    Raises BadRequest for a cursor that is none of ours.
    """
    statement = (
        select(Study, _LATEST_READING.c.findings, _LATEST_READING.c.notices)
        .outerjoin(_LATEST_READING, literal(True))
        .where(*_UNSIGNED)
        .order_by(Study.rank_at, Study.id)
        .limit(size + 1)
    )
    if cursor is not None:
        rank_at, study_id = _read_cursor(cursor)
        statement = statement.where(tuple_(Study.rank_at, Study.id) > (rank_at, study_id))
    rows = session.execute(statement).all()
    entries = tuple(_entry(row) for row in rows[:size])
    more = len(rows) > size
    return WorklistPage(entries=entries, next_cursor=_write_cursor(entries[-1]) if more else None)


def entries(session: Session, *, study_ids: Sequence[UUID]) -> tuple[WorklistEntry, ...]:
    """These studies as the worklist shows them now, signed ones too; unknown ids are left out."""
    rows = session.execute(
        select(Study, _LATEST_READING.c.findings, _LATEST_READING.c.notices)
        .outerjoin(_LATEST_READING, literal(True))
        .where(Study.id.in_(study_ids)),
    ).all()
    return tuple(_entry(row) for row in rows)


def next_after(session: Session, *, study_id: UUID | None, reader: str) -> UUID | None:
    """The unsigned study this reader should open next: the first that is screened and nobody else holds."""
    return session.scalar(
        select(Study.id)
        .where(
            *_UNSIGNED,
            Study.state.not_in([State.ADMITTED.value, State.SCREENING.value]),
            (Study.state != State.CLAIMED.value) | (Study.claimed_by_name == reader),
            Study.id != study_id if study_id else literal(True),
        )
        .order_by(Study.rank_at, Study.id)
        .limit(1),
    )


def counts(session: Session) -> WorklistCounts:
    """How many wait, and how long the oldest has waited for the network."""
    unread = [State.ADMITTED.value, State.SCREENING.value, State.WITHHELD.value, State.FAILED.value]
    unsigned, unread_count = session.execute(
        select(func.count(), func.count().filter(Study.state.in_(unread))).where(*_UNSIGNED),
    ).one()
    oldest = session.scalar(select(func.min(DUE_SINCE)).where(Study.screening_due))
    return WorklistCounts(
        unsigned=unsigned,
        unread_by_network=unread_count,
        oldest_unscreened_seconds=(now() - oldest).total_seconds() if oldest else None,
    )


def _entry(row: Sequence[Any]) -> WorklistEntry:
    """A row of study, its latest reading's findings and notices (None where there is no reading)."""
    study, findings, notices = row
    return entry_of(study, findings=findings or {}, notices=tuple(notices or ()))


def entry_of(study: Study, *, findings: dict[str, Any], notices: tuple[str, ...]) -> WorklistEntry:
    """The worklist's view of a study."""
    hours = (study.arrived_at - study.rank_at).total_seconds() / 3600
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
        state=State(study.state),
        reason=study.reason,
        revision=study.revision,
        arrived_at=study.arrived_at,
        waiting_seconds=(now() - study.arrived_at).total_seconds(),
        rank_at=study.rank_at,
        hours_earlier=hours,
        lane=Lane(study.lane) if study.lane else None,
        urgency=study.urgency,
        findings=findings,
        notices=notices,
        awaits_network=study.screening_due,
        why_here=why_here(study, findings=findings, hours=hours),
        held_by=study.claimed_by_name,
        held_until=study.claim_expires_at,
    )


def why_here(study: Study, *, findings: dict[str, Any], hours: float) -> str:
    """The reason for the study's place, in sentences a radiologist can check."""
    if study.lane is None:
        first = (
            "Not yet read by the network."
            if study.screening_due
            else {
                State.WITHHELD.value: "Not read by the network.",
                State.FAILED.value: "Not read by the network: screening failed.",
            }.get(study.state, "Not yet read by the network.")
        )
    else:
        first = "Network: " + "; ".join(
            f"{name} {in_words(finding)} ({finding['probability']:.2f})"
            for name, finding in findings.items()
            if not finding.get("research")
        )
        first += "."
        if study.screening_due:
            first += " A further image waits to be read."
    if study.priority == "stat":
        first = "STAT order. " + first
    return f"{first} {placement(hours)}"


def placement(hours: float) -> str:
    """By how many hours before its arrival a study is placed, in a sentence."""
    if hours < 1 / 60:
        return "Placed by its time of arrival."
    return f"Placed as if it had arrived {hours:g} h earlier."


def in_words(finding: dict[str, Any]) -> str:
    """The lane of a finding in a word or two."""
    match Lane(finding["lane"]):
        case Lane.RULE_IN:
            return "likely"
        case Lane.ABSTAIN:
            return "uncertain"
        case Lane.RULE_OUT:
            return "unlikely"


def _write_cursor(entry: WorklistEntry) -> str:
    text = json.dumps([entry.rank_at.isoformat(), str(entry.study_id)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        rank_at, study_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(rank_at)
        if moment.tzinfo is None:
            raise ValueError("a moment without a zone")
        return moment, UUID(study_id)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(
            "That cursor is not one this service gave out. Begin again without a cursor."
        ) from error
