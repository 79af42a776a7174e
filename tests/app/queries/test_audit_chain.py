"""Whatever is changed in the audit trail by somebody whom no trigger and no right stops is found and told."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from app.commands import audit, audit_sending
from app.commands.audit_seals import Head, head_of, leaf, lines
from app.domain.roles import SYSTEM
from app.queries import audit_chain
from app.queries.audit_chain import Verified
from app.records import AuditSeal
from app.records.engine import transaction
from tests.audited import record_events, seal_all

_BATCHES = (5, 4, 6, 5)
"""Events 1 to 5 are of seal 1, 6 to 9 of seal 2, 10 to 15 of seal 3, 16 to 20 of seal 4."""
_COPY = "at, action, actor_kind, actor_name, details, count"


@pytest.fixture
def sealed(database: str) -> list[Head]:
    """The heads of four seals over twenty events."""
    heads = []
    for size in _BATCHES:
        record_events(size)
        heads += seal_all()
    assert [head.last_id for head in heads] == [5, 9, 15, 20]
    return heads


def _verify(known: dict[str, int | None] | None = None) -> Verified:
    with transaction() as session:
        return audit_chain.verify(session, known=known)


def _tamper(*statements: str) -> None:
    """As a superuser, whom no trigger stops; the triggers are there again afterwards."""
    with transaction() as session:
        _change(session, *statements)


def _change(session: Session, *statements: str) -> None:
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        changed = session.execute(text(statement))
        assert isinstance(changed, CursorResult) and changed.rowcount, statement


def _changed(column: str, value: str, id_: int) -> tuple[str]:
    return (f"UPDATE audit_events SET {column} = {value} WHERE id = {id_}",)


def _inserted(id_: int) -> tuple[str]:
    return (
        f"INSERT INTO audit_events (id, {_COPY}) OVERRIDING SYSTEM VALUE SELECT {id_}, {_COPY}"
        " FROM audit_events WHERE id = 3",
    )


_SWAP = (
    "UPDATE audit_events SET details = CASE id WHEN 7 THEN (SELECT details FROM audit_events WHERE id = 12)"
    " ELSE (SELECT details FROM audit_events WHERE id = 7) END WHERE id IN (7, 12)",
)
_SWAP_SEALS = (
    "UPDATE audit_seals SET number = 99 WHERE number = 2",
    "UPDATE audit_seals SET number = 2 WHERE number = 3",
    "UPDATE audit_seals SET number = 3 WHERE number = 99",
)
_EVENT = r"Event {} was {} seal {} \(of \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)\.$"


def _event(id_: int, fate: str, seal: int) -> str:
    return _EVENT.format(id_, fate, seal)


_SINCE = "changed since it was sealed by"
_FROM = "deleted from"
_AMONG = "inserted later among those of"


_CASES: list[tuple[tuple[str, ...], list[str]]] = [
    # changed: first, middle and last of a batch, of the first and the last seal, every column
    (_changed("actor_name", "'nobody'", 1), [_event(1, _SINCE, 1)]),
    (_changed("at", "at + interval '1 microsecond'", 7), [_event(7, _SINCE, 2)]),
    (_changed("at", "'infinity'", 12), [_event(12, _SINCE, 3)]),
    (_changed("details", """details || '{"number": 7}'""", 9), [_event(9, _SINCE, 2)]),
    (_changed("details", """'{"number": 3.0}'""", 4), [_event(4, _SINCE, 1)]),
    (_changed("action", "'study.viewed'", 10), [_event(10, _SINCE, 3)]),
    (_changed("address", "''", 15), [_event(15, _SINCE, 3)]),
    (_changed("study_id", "gen_random_uuid()", 16), [_event(16, _SINCE, 4)]),
    (_changed("subject_id", "'x'", 17), [_event(17, _SINCE, 4)]),
    (_changed("actor_id", "gen_random_uuid()", 18), [_event(18, _SINCE, 4)]),
    (_changed("actor_kind", "'user'", 19), [_event(19, _SINCE, 4)]),
    (_changed("count", "2", 20), [_event(20, _SINCE, 4)]),
    (_SWAP, [_event(7, _SINCE, 2), _event(12, _SINCE, 3)]),
    # deleted
    (("DELETE FROM audit_events WHERE id = 1",), [_event(1, _FROM, 1)]),
    (("DELETE FROM audit_events WHERE id = 7",), [_event(7, _FROM, 2)]),
    (("DELETE FROM audit_events WHERE id = 9",), [_event(9, _FROM, 2)]),
    (("DELETE FROM audit_events WHERE id = 20",), [_event(20, _FROM, 4)]),
    (
        ("DELETE FROM audit_events WHERE id BETWEEN 11 AND 13",),
        ["Events 11 to 13 were deleted from seal 3 "],
    ),
    (
        ("DELETE FROM audit_events WHERE id BETWEEN 6 AND 11",),
        ["Events 6 to 9 were deleted from seal 2 ", "Events 10 to 11 were deleted from seal 3 "],
    ),
    (
        ("DELETE FROM audit_events",),
        [
            "Events 1 to 5 were",
            "Events 6 to 9 were",
            "Events 10 to 15 were",
            "Events 16 to 20 were deleted from seal 4",
        ],
    ),
    # inserted where an id is free: before all, and where one was taken away
    (_inserted(0), [_event(0, _AMONG, 1)]),
    (_inserted(-(2**63)), [_event(-(2**63), _AMONG, 1)]),
    (
        (_inserted(-1)[0], "DELETE FROM audit_events WHERE id = 7"),
        [_event(-1, _AMONG, 1), _event(7, _FROM, 2)],
    ),
    # the seals themselves
    (
        ("UPDATE audit_seals SET head = repeat('a', 64) WHERE number = 2",),
        ["Seal 2 .* was itself changed"],
    ),
    (
        ("UPDATE audit_seals SET head = repeat('a', 64) WHERE number = 4",),
        ["Seal 4 .* was itself changed"],
    ),
    (
        ("UPDATE audit_seals SET previous_head = repeat('a', 64) WHERE number = 3",),
        ["Seal 3 .* does not continue the chain", "Seal 3 .* was itself changed"],
    ),
    (
        ("UPDATE audit_seals SET previous_head = repeat('a', 64) WHERE number = 1",),
        ["Seal 1 .* does not begin the chain", "Seal 1 .* was itself changed"],
    ),
    (
        ("UPDATE audit_seals SET sealed_at = sealed_at - interval '1 second' WHERE number = 1",),
        ["Seal 1 .* was itself changed"],
    ),
    (
        ("UPDATE audit_seals SET sealed_at = 'infinity' WHERE number = 1",),
        ["Seal 1 .* was itself changed"],
    ),
    (("UPDATE audit_seals SET last_id = 8 WHERE number = 2",), ["Seal 2 .* was itself changed"]),
    (
        ("UPDATE audit_seals SET leaves = set_byte(leaves, 39, 1 # get_byte(leaves, 39)) WHERE number = 2",),
        ["Seal 2 .* was itself changed", _event(6, _SINCE, 2)],
    ),
    (("DELETE FROM audit_seals WHERE number = 1",), ["Seal 1 was deleted: .* seal 2"]),
    (("DELETE FROM audit_seals WHERE number IN (2, 3)",), ["Seals 2 to 3 were deleted: .* seal 4"]),
    (_SWAP_SEALS, ["Seal 2 ", "Seal 2 .* was itself changed", "Seal 3 ", "Seal 3 .* was itself changed"]),
    (
        ("UPDATE audit_seals SET number = 0 WHERE number = 1",),
        ["Seal 0 ", "Seal 0 .* was itself changed"],
    ),
]


def test_it_is_told_what_was_tampered_with_and_where(sealed: list[Head]) -> None:
    with transaction() as session:
        session.execute(text("ALTER TABLE audit_seals DROP CONSTRAINT ck_audit_seals_counts"))
    for statements, told in _CASES:
        with pytest.raises(_Undone), transaction() as session:
            _change(session, *statements)
            findings = audit_chain.verify(session).findings
            raise _Undone
        for pattern in told:
            assert any(re.match(pattern, sentence) for sentence in findings), (statements, findings)
        if not any("audit_seals" in statement for statement in statements):
            assert len(findings) == len(told), (statements, findings)
    assert _verify().findings == []


class _Undone(Exception):
    pass


def test_the_same_trail_untouched_is_found_whole(sealed: list[Head]) -> None:
    record_events(3)
    done: list[tuple[int, int]] = []
    with transaction() as session:
        found = audit_chain.verify(
            session,
            known={head.head: head.number for head in sealed} | {sealed[1].head: None},
            report=lambda *at: done.append(at),
        )
    assert found.findings == []
    assert (found.events, found.seals, found.unsealed) == (20, 4, 3)
    assert found.newest == sealed[-1]
    assert done[-1] == (20, 20)


def test_what_is_not_sealed_yet_is_counted_and_no_finding(database: str) -> None:
    record_events(2)
    found = _verify()
    assert (found.findings, found.unsealed, found.newest) == ([], 2, None)
    assert found.oldest_unsealed is not None


@pytest.mark.parametrize("numbered", [True, False])
def test_a_tail_that_was_cut_off_shows_by_a_head_that_was_kept(sealed: list[Head], numbered: bool) -> None:
    _tamper("DELETE FROM audit_seals WHERE number > 2", "DELETE FROM audit_events WHERE id > 9")
    assert _verify().findings == []  # nothing in the database can tell
    [finding] = _verify({sealed[-1].head: 4 if numbered else None}).findings
    assert "cut off" in finding
    assert "seal 2" in finding
    assert _verify({sealed[1].head: 2}).findings == []


def test_where_the_site_was_restored_the_finding_of_a_missing_head_says_so(sealed: list[Head]) -> None:
    _tamper("DELETE FROM audit_seals WHERE number > 2", "DELETE FROM audit_events WHERE id > 9")
    with transaction() as session:
        audit.record(session, action="site.restored", by=SYSTEM)
    seal_all()
    known: dict[str, int | None] = {sealed[2].head: 3, sealed[3].head: 4}
    found = _verify(known)
    assert [
        sentence.count("Or a restore from a backup did it: event 21, of ") for sentence in found.findings
    ] == [1, 1]
    assert found.all_by_restore
    _tamper("UPDATE audit_events SET count = 2 WHERE id = 3")
    assert not _verify(known).all_by_restore, "a restore changes no event"


def test_a_tail_that_was_cut_off_and_grew_again_shows_by_a_head_that_was_kept(sealed: list[Head]) -> None:
    _tamper("DELETE FROM audit_seals WHERE number > 2", "DELETE FROM audit_events WHERE id > 9")
    record_events(11)
    seal_all()
    record_events(1)
    seal_all()
    [finding] = _verify({sealed[-1].head: 4}).findings
    assert re.match(r"Seal 4 .* is not the one that was known", finding)


def test_a_tail_that_was_cut_off_shows_by_what_was_sent(sealed: list[Head]) -> None:
    with transaction() as session:
        audit_sending.position(session, "heads")
        audit_sending.sent(session, "heads", up_to=4)
    _tamper("DELETE FROM audit_seals WHERE number = 4", "DELETE FROM audit_events WHERE id > 15")
    [finding] = _verify().findings
    assert finding == (
        "The end of the trail was cut off: seal 4 was sent to syslog, and the chain ends with seal 3."
    )


def test_a_trail_that_was_emptied_shows_by_a_head_that_was_kept(sealed: list[Head]) -> None:
    _tamper("DELETE FROM audit_seals", "DELETE FROM audit_events")
    [finding] = _verify({sealed[0].head: 1}).findings
    assert finding.endswith("and nothing is sealed.")


def test_who_seals_a_changed_trail_anew_is_found_by_a_head_that_was_kept(sealed: list[Head]) -> None:
    """They know how it is done: leaves and heads from the changed event on are computed again."""
    _tamper("UPDATE audit_events SET actor_name = 'nobody' WHERE id = 7")
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        _seal_again(session)
    assert _verify().findings == []
    [finding] = _verify({sealed[3].head: 4}).findings
    assert "were rewritten and sealed again" in finding
    assert _verify({sealed[0].head: 1}).findings == []


def test_a_guard_that_was_switched_off_is_told(sealed: list[Head]) -> None:
    with transaction() as session:
        session.execute(text("ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only"))
    [finding] = _verify().findings
    assert "audit_events_append_only" in finding


def test_of_very_many_findings_the_first_are_told_and_the_others_counted(database: str) -> None:
    record_events(200)
    seal_all()
    _tamper("UPDATE audit_events SET count = 2 WHERE id % 2 = 0")
    found = _verify()
    assert (len(found.findings), found.untold) == (50, 50)


def _seal_again(session: Session) -> None:
    previous: AuditSeal | None = None
    for seal in session.query(AuditSeal).order_by(AuditSeal.number):
        rows = session.execute(lines(after=previous.last_id if previous else None, up_to=seal.last_id)).all()
        seal.leaves = b"".join(leaf(row) for row in rows)
        seal.previous_head = previous.head if previous else seal.previous_head
        at = seal.sealed_at
        seal.head = head_of(
            previous_head=seal.previous_head,
            number=seal.number,
            last_id=seal.last_id,
            rows=seal.rows,
            sealed_at=f"{int(at.timestamp())}.{at.microsecond:06d}",
            leaves=seal.leaves,
        )
        session.flush()
        previous = seal
