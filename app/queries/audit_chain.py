"""Is the audit trail as it was sealed? Read once from the first event to the last, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Function, Row, SQLColumnExpression, Text, cast, extract, func, select, text
from sqlalchemy.orm import Session

from app.commands.audit_seals import GENESIS, Head, head_of, leaf, lines, newest_head, split
from app.records import AuditEvent, AuditSeal, AuditSending

_EVENTS_AT_ONCE = 2000
_SEALS_AT_ONCE = 20
_MOST_TOLD = 50
"""Findings that are told; the others are counted."""
_GUARDS = ("audit_events_append_only", "audit_seals_append_only", "audit_seals_continue")
_BEYOND = 2**63 - 1
_SWITCHED_ON = text("SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')")


@dataclass(kw_only=True)
class Verified:
    """What was found; the trail is as it was sealed where `findings` is empty."""

    seals: int = 0
    events: int = 0
    """Events that a seal vouches for, as they are now."""
    unsealed: int = 0
    oldest_unsealed: str | None = None
    """When the oldest of those happened, in UTC."""
    unsealed_seconds: float = 0.0
    """How long ago that was."""
    newest: Head | None = None
    findings: list[str] = field(default_factory=list)
    """What was tampered with and where, a sentence each."""
    untold: int = 0
    """Further findings, beyond the first fifty."""
    restored: str | None = None
    """The restore that may have made `by_restore` of the findings."""
    by_restore: int = 0

    @property
    def all_by_restore(self) -> bool:
        """Nothing was found but what a restore does too."""
        return 0 < self.by_restore == len(self.findings) + self.untold

    def lacks(self, sentence: str) -> None:
        """One more, of a head from elsewhere: a restore takes away what was sealed since the backup."""
        self.by_restore += self.restored is not None
        self.find(" ".join(filter(None, (sentence, self.restored))))

    def find(self, sentence: str) -> None:
        """One more."""
        if len(self.findings) < _MOST_TOLD:
            self.findings.append(sentence)
        else:
            self.untold += 1


def verify(
    session: Session,
    *,
    known: Mapping[str, int | None] | None = None,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Verified:
    """Every seal, and every event against its seal. `known` are heads from elsewhere, each with its seal's
    number where that is known: all of them must be in the chain. `report` is told how many events of how
    many were read.

    It may run while events are written and sealed: what is sealed does not change.
    """
    found = Verified(newest=newest_head(session), restored=_restored(session))
    _check_guards(session, found)
    of = session.scalar(select(func.coalesce(func.sum(AuditSeal.rows), 0))) or 0
    missing = dict(known or {})
    given = {number: head for head, number in missing.items() if number is not None}
    events = _Events(session)
    before = _Before()
    for seal in _seals(session):
        _check_place(found, seal, before)
        head = _head(seal)
        if head != seal.head:
            found.find(f"{_begin(seal)} was itself changed: its head does not follow from what it holds.")
        digests = split(bytes(seal.leaves))
        if seal.number != before.number + 1:
            events.skip_below(min(digests, default=seal.last_id))
        _compare(found, seal, digests, events)
        if seal.number in given and given[seal.number] != seal.head:
            found.lacks(
                f"{_begin(seal)} is not the one that was known: its head was {given[seal.number]} and is "
                f"{seal.head}. Events up to {seal.last_id} were rewritten and sealed again."
            )
            missing.pop(given[seal.number], None)
        missing.pop(seal.head, None)
        before = _Before(number=seal.number, heads=frozenset({head, seal.head}), last_id=seal.last_id)
        found.seals += 1
        report(min(events.read, of), of)
    _check_end(session, found, before, missing)
    _count_unsealed(session, found, after=before.last_id)
    report(of, of)
    return found


@dataclass(frozen=True, kw_only=True)
class _Before:
    """The seal before; the first one continues nothing."""

    number: int = 0
    heads: frozenset[str] = frozenset({GENESIS})
    """As it says and as it should say: where they differ that is told already."""
    last_id: int | None = None


class _Events:
    """The events by id, each read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._page: list[Row[Any]] = []
        self._at = 0
        self._last: int | None = None
        self.read = 0

    def up_to(self, id_: int) -> Iterator[Row[Any]]:
        """Those that were not read yet, up to this id."""
        while True:
            if self._at == len(self._page):
                statement = lines(after=self._last, up_to=_BEYOND).limit(_EVENTS_AT_ONCE)
                self._page, self._at = list(self._session.execute(statement)), 0
                if not self._page:
                    return
            row = self._page[self._at]
            if row.id > id_:
                return
            self._at += 1
            self._last = row.id
            self.read += 1
            yield row

    def skip_below(self, id_: int) -> None:
        """Those before it count as read."""
        for _ in self.up_to(id_ - 1):
            pass


def _seals(session: Session) -> Iterator[Row[Any]]:
    last: int | None = None
    while True:
        columns: tuple[Any, ...] = (
            AuditSeal.number,
            AuditSeal.last_id,
            AuditSeal.rows,
            AuditSeal.leaves,
            cast(extract("epoch", AuditSeal.sealed_at), Text).label("sealed_at"),
            _moment(AuditSeal.sealed_at).label("moment"),
            AuditSeal.previous_head,
            AuditSeal.head,
        )
        statement = select(*columns)
        if last is not None:
            statement = statement.where(AuditSeal.number > last)
        page = session.execute(statement.order_by(AuditSeal.number).limit(_SEALS_AT_ONCE)).all()
        if not page:
            return
        yield from page
        last = page[-1].number


def _moment(column: SQLColumnExpression[Any]) -> Function[str]:
    """As text: what somebody wrote there need not be a date that Python knows."""
    return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS")


def _head(seal: Row[Any]) -> str:
    return head_of(
        previous_head=seal.previous_head,
        number=seal.number,
        last_id=seal.last_id,
        rows=seal.rows,
        sealed_at=seal.sealed_at,
        leaves=bytes(seal.leaves),
    )


def _name(seal: Row[Any]) -> str:
    return f"seal {seal.number} (of {seal.moment} UTC)"


def _begin(seal: Row[Any]) -> str:
    return f"S{_name(seal)[1:]}"


def _check_place(found: Verified, seal: Row[Any], before: _Before) -> None:
    if seal.number > before.number + 1:
        gone = _numbers("Seal", before.number + 1, seal.number - 1)
        found.find(f"{gone} deleted: nothing vouches for the events between that and seal {seal.number}.")
    elif seal.number != before.number + 1:
        found.find(f"{_begin(seal)} was inserted: no seal has such a number.")
    elif seal.previous_head not in before.heads:
        found.find(
            f"{_begin(seal)} does not continue the chain: seal {before.number}, or this one, was replaced."
            if before.number
            else f"{_begin(seal)} does not begin the chain: it was replaced."
        )


def _compare(found: Verified, seal: Row[Any], digests: dict[int, bytes], events: _Events) -> None:
    """Every event of the seal's range is the one that was sealed, and none is missing."""
    deleted = _Run(found, seal, "deleted from")
    inserted = _Run(found, seal, "inserted later among those of")
    changed = _Run(found, seal, "changed since it was sealed by")
    expected = iter(digests)
    due = next(expected, None)
    for row in events.up_to(max(digests, default=seal.last_id)):
        while due is not None and due < row.id:
            deleted.add(due)
            due = next(expected, None)
        if due != row.id:
            inserted.add(row.id)
            continue
        if leaf(row)[-32:] == digests[row.id]:
            found.events += 1
        else:
            changed.add(row.id)
        due = next(expected, None)
    while due is not None:
        deleted.add(due)
        due = next(expected, None)
    for run in (changed, deleted, inserted):
        run.end()


class _Run:
    """Events in a row that share a fate are one finding."""

    def __init__(self, found: Verified, seal: Row[Any], fate: str) -> None:
        self._found = found
        self._seal = seal
        self._fate = fate
        self._ids: tuple[int, int] | None = None

    def add(self, id_: int) -> None:
        if self._ids is not None and id_ == self._ids[1] + 1:
            self._ids = (self._ids[0], id_)
            return
        self.end()
        self._ids = (id_, id_)

    def end(self) -> None:
        if self._ids is not None:
            self._found.find(f"{_numbers('Event', *self._ids)} {self._fate} {_name(self._seal)}.")
        self._ids = None


def _numbers(noun: str, first: int, last: int) -> str:
    return f"{noun} {first} was" if first == last else f"{noun}s {first} to {last} were"


def _restored(session: Session) -> str | None:
    """The newest restore that the trail tells of."""
    statement = select(AuditEvent.id, _moment(AuditEvent.at)).where(AuditEvent.action == "site.restored")
    row = session.execute(statement.order_by(AuditEvent.id.desc()).limit(1)).one_or_none()
    return None if row is None else f"Or a restore from a backup did it: event {row[0]}, of {row[1]} UTC."


def _check_guards(session: Session, found: Verified) -> None:
    guards = set(session.scalars(_SWITCHED_ON))
    for name in _GUARDS:
        if name not in guards:
            found.find(f"The database's guard {name} is gone or switched off, so that rows can be changed.")


def _check_end(session: Session, found: Verified, before: _Before, missing: Mapping[str, int | None]) -> None:
    end = f"the chain ends with seal {before.number}" if before.number else "nothing is sealed"
    sent = session.scalar(select(AuditSending.position).where(AuditSending.name == "heads")) or 0
    if sent > before.number:
        found.find(f"The end of the trail was cut off: seal {sent} was sent to syslog, and {end}.")
    for head, number in missing.items():
        if number is None:
            found.lacks(
                f"No seal has the head {head}: the end of the trail was cut off, or rewritten; {end}."
            )
        elif number > before.number:
            found.lacks(f"The end of the trail was cut off: seal {number} had the head {head}, and {end}.")
        else:
            found.find(f"Seal {number}, whose head was {head}, is gone.")


def _count_unsealed(session: Session, found: Verified, *, after: int | None) -> None:
    oldest = func.min(AuditEvent.at).filter(func.isfinite(AuditEvent.at))
    ago = extract("epoch", func.clock_timestamp() - oldest)
    statement = select(func.count(), _moment(oldest), ago)
    if after is not None:
        statement = statement.where(AuditEvent.id > after)
    found.unsealed, found.oldest_unsealed, seconds = session.execute(statement).one()
    found.unsealed_seconds = float(seconds or 0)
