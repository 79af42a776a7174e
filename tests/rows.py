"""Rows for any schema of ours, made from what the database says of itself: columns, keys and constraints.

No model is asked, so that the tables of every revision can be filled, those of revisions to come too.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, MetaData, Table, inspect, text
from sqlalchemy.exc import IntegrityError

from app.records.vector import HalfVector

EACH = 2
"""Rows of a table, as unlike each other as its constraints allow."""
_TRIES = 600
_LITERAL = re.compile(r"'([^']*)'::text")
Contents = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""By table and primary key."""


def fill(connection: Connection, *, seed: int = 1) -> None:
    """Every table has rows: EACH more than before, fewer where its constraints allow no more."""
    schema = MetaData()
    schema.reflect(connection)
    checks = inspect(connection).get_multi_check_constraints()
    chance = random.Random(seed)
    for table in schema.sorted_tables:
        if table.name != "alembic_version":
            _fill(connection, table, [str(check["sqltext"]) for check in checks[None, table.name]], chance)
            there = connection.execute(text(f"SELECT EXISTS (SELECT FROM {table.name})"))
            assert there.scalar_one(), f"tests/rows.py could make no row of {table.name}; teach it"


def contents(connection: Connection) -> Contents:
    """All rows of all tables by primary key, as PostgreSQL writes them in JSON."""
    keys = connection.execute(
        text(
            "SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class c"
            " JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'"
            " GROUP BY c.relname ORDER BY c.relname"
        )
    ).all()
    found: Contents = {}
    for name, key in keys:
        rows = connection.execute(text(f"SELECT to_jsonb({name}) FROM {name}")).scalars()
        found[name] = {tuple(row[column] for column in key): row for row in rows}
    return found


def _fill(connection: Connection, table: Table, checks: list[str], chance: random.Random) -> None:
    words = {column.name: _words(column.name, checks) for column in table.columns}
    referred = {
        column.name: _there(connection, key.column.table.name, key.column.name)
        for column in table.columns
        for key in column.foreign_keys
    }
    made = 0
    for _ in range(_TRIES):
        row = {}
        nulls = chance.choice((0.0, 0.5, 1.0))
        for column in table.columns:
            if column.identity is not None or column.computed is not None:
                continue
            if column.name in referred:
                value = chance.choice(referred[column.name] or [None])
            elif words[column.name]:
                value = chance.choice(words[column.name])
            else:
                value = _value(column.name, column.type, chance)
            row[column.name] = None if column.nullable and chance.random() < nulls else value
        if table.name in _CHAINED:
            row |= _CHAINED[table.name](connection)
        if _inserted(connection, table, row):
            made += 1
            if made == EACH:
                return


def _words(name: str, checks: list[str]) -> list[str]:
    """What the constraints let the column say, where they say it word for word."""
    compared = re.compile(rf"\b{name} = (?:ANY \(ARRAY\[([^\]]*)\]|('[^']*'::text))")
    return [
        word
        for check in checks
        for found in compared.findall(check)
        for word in _LITERAL.findall("".join(found))
    ]


def _inserted(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f"CAST(:{name} AS {table.c[name].type.compile(connection.dialect)})" for name in row)
    into = f"INSERT INTO {table.name} ({names}) VALUES ({values})"
    try:
        with connection.begin_nested():
            connection.execute(text(into), row)
    except IntegrityError:
        return False
    return True


def _there(connection: Connection, name: str, column: str) -> list[Any]:
    return list(connection.execute(text(f"SELECT {column} FROM {name} ORDER BY {column}")).scalars())


def _value(name: str, kind: Any, chance: random.Random) -> Any:
    """A value of the column's type that no other row has, as far as the type has so many."""
    if isinstance(kind, HalfVector):
        return str([round(chance.uniform(-1, 1), 3) for _ in range(kind.size or 1)])
    number = chance.getrandbits(31)
    makers: dict[str, Callable[[], Any]] = {
        "TEXT": lambda: _hex(chance) if name.endswith("sha256") else f"{name} {number}",
        "UUID": lambda: UUID(int=chance.getrandbits(128), version=4),
        "TIMESTAMP": lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number % 10**7),
        "DATE": lambda: date(1940, 1, 1) + timedelta(days=number % 30_000),
        "INTERVAL": lambda: timedelta(seconds=number % 10**5),
        "BOOLEAN": lambda: bool(number % 2),
        "INTEGER": lambda: 1 + number % 10**6,
        "BIGINT": lambda: 1 + number,
        "DOUBLE PRECISION": chance.random,
        "BYTEA": lambda: chance.randbytes(40),
        "JSONB": lambda: json.dumps({"made": number} if number % 2 else []),
    }
    return makers[str(kind)]()


def _hex(chance: random.Random) -> str:
    return chance.randbytes(32).hex()


def _next_seal(connection: Connection) -> dict[str, Any]:
    newest = connection.execute(
        text("SELECT number, last_id, head FROM audit_seals ORDER BY number DESC LIMIT 1")
    ).one_or_none()
    number, last_id, head = newest or (0, 0, "0" * 64)
    following = {"number": number + 1, "last_id": last_id + 1, "previous_head": head, "rows": 1}
    return following | {"leaves": bytes(40), "head": f"{number + 1:064x}"}


_CHAINED: dict[str, Callable[[Connection], dict[str, Any]]] = {"audit_seals": _next_seal}
"""Tables whose rows follow from those before them, by trigger."""
