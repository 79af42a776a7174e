"""Seal: batches of the audit trail become links of a chain that nobody can change unseen.

A leaf is an event's id and the sha256 of its line (`line`). A head is the sha256 of the previous head, of the
seal's number, last id, count and time, and of its leaves (`head_of`): it vouches for every event before it.

Writers are neither slowed nor put in order: they know nothing of seals. Ids are handed out to transactions
that may end in any order, so an id that is missing may still come. Whoever draws an id has locked the table
for writing before, and holds that lock to the end of the transaction. So the sealer notes the newest id, and
then who holds such a lock; once all of those have ended, every id up to the noted one is there or will never
be, and only those are sealed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, Text, cast, extract, func, select, text
from sqlalchemy.orm import Session

from app.records import AuditEvent, AuditSeal
from app.records.base import now

GENESIS = "0" * 64
"""What the first seal continues."""
LEAF_BYTES = 40
_ID_BYTES = 8
_PER_SEAL = 1000
_TURN = 0x46525341
"""Advisory lock of the sealers, who take turns: "FRSA"."""
_NEWEST_ID = text("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('audit_events', 'id')), 0)")
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND relation = 'audit_events'::regclass"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
)


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a seal vouches with, for it and all before it."""

    number: int
    last_id: int
    rows: int
    previous_head: str
    head: str


@dataclass(frozen=True, kw_only=True)
class Watermark:
    """All ids up to `id` are settled once none of `writers` runs any more."""

    id: int
    writers: frozenset[str]


def watermark(session: Session) -> Watermark:
    """The newest id that was drawn, and the transactions that may still come with one up to it."""
    newest = int(session.scalar(_NEWEST_ID) or 0)  # first: who draws one after this is not waited for
    return Watermark(id=newest, writers=_writers(session))


def has_settled(session: Session, mark: Watermark) -> bool:
    """True once every transaction that could have drawn an id up to the mark has ended."""
    return not mark.writers or mark.writers.isdisjoint(_writers(session))


def _writers(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(_WRITERS))


def seal_next(session: Session, *, up_to: int) -> Head | None:
    """The oldest unsealed events up to this id, which must have settled, are sealed, at most a thousand.

    None where there are none, and where another sealer is at it. The seal ends with an event that exists, not
    with an id that was drawn: a server that crashed may draw once more what no commit had made durable.
    """
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_TURN))):
        return None
    newest = newest_head(session)
    rows = session.execute(
        lines(after=newest.last_id if newest else None, up_to=up_to).limit(_PER_SEAL)
    ).all()
    if not rows:
        return None
    leaves = b"".join(leaf(row) for row in rows)
    sealed_at = now()
    previous_head, number = (newest.head, newest.number + 1) if newest else (GENESIS, 1)
    last_id = int(rows[-1].id)
    head = head_of(
        previous_head=previous_head,
        number=number,
        last_id=last_id,
        rows=len(rows),
        sealed_at=f"{int(sealed_at.timestamp())}.{sealed_at.microsecond:06d}",
        leaves=leaves,
    )
    session.add(
        AuditSeal(
            number=number,
            last_id=last_id,
            rows=len(rows),
            leaves=leaves,
            sealed_at=sealed_at,
            previous_head=previous_head,
            head=head,
        )
    )
    return Head(number=number, last_id=last_id, rows=len(rows), previous_head=previous_head, head=head)


def newest_head(session: Session) -> Head | None:
    """The end of the chain; None where nothing is sealed."""
    return next(iter(heads_after(session, number=None, newest_first=True, limit=1)), None)


def heads_after(
    session: Session, *, number: int | None, limit: int, newest_first: bool = False
) -> list[Head]:
    """The heads after this seal, or all of them; without their leaves."""
    order = AuditSeal.number.desc() if newest_first else AuditSeal.number
    statement = select(
        AuditSeal.number, AuditSeal.last_id, AuditSeal.rows, AuditSeal.previous_head, AuditSeal.head
    )
    if number is not None:
        statement = statement.where(AuditSeal.number > number)
    return [Head(**row._mapping) for row in session.execute(statement.order_by(order).limit(limit))]


def lines(*, after: int | None, up_to: int) -> Select[Any]:
    """Events by id, each column as the text that PostgreSQL gives, so that nothing is lost on the way."""
    event = AuditEvent
    columns: tuple[Any, ...] = (
        event.id,
        cast(extract("epoch", event.at), Text).label("at"),
        event.action,
        event.actor_kind,
        cast(event.actor_id, Text).label("actor_id"),
        event.actor_name,
        event.address,
        cast(event.study_id, Text).label("study_id"),
        event.subject_id,
        cast(event.details, Text).label("details"),
        event.count,
    )
    statement = select(*columns).where(event.id <= up_to)
    if after is not None:
        statement = statement.where(event.id > after)
    return statement.order_by(event.id)


def leaf(row: Row[Any] | Sequence[Any]) -> bytes:
    """Of a row of `lines`: its id in 8 bytes, big-endian and signed, and the sha256 of its line."""
    return int(row[0]).to_bytes(_ID_BYTES, "big", signed=True) + hashlib.sha256(line(row)).digest()


def line(row: Row[Any] | Sequence[Any]) -> bytes:
    """The canonical serialisation: a JSON array of strings and nulls in ASCII, without spaces."""
    parts = [None if part is None else str(part) for part in row]
    return json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()


def split(leaves: bytes) -> dict[int, bytes]:
    """The digest of each event by its id, by id."""
    return {
        int.from_bytes(leaves[at : at + _ID_BYTES], "big", signed=True): leaves[
            at + _ID_BYTES : at + LEAF_BYTES
        ]
        for at in range(0, len(leaves), LEAF_BYTES)
    }


def head_of(
    *, previous_head: str, number: int, last_id: int, rows: int, sealed_at: str, leaves: bytes
) -> str:
    """The sha256, in hexadecimal, of the seal's columns as a line, and of its leaves. `sealed_at` is seconds
    since 1970 with six digits after the point, as PostgreSQL gives an epoch.
    """
    columns = line(["firstread audit seal 1", previous_head, number, last_id, rows, sealed_at])
    return hashlib.sha256(columns + leaves).hexdigest()
