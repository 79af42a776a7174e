"""API keys: how machines prove who they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import audit, names
from app.commands.passwords import digest
from app.domain.addresses import is_within, ranges_of
from app.domain.press import Press
from app.domain.roles import Actor, Caller, Scope, permissions_of_scopes
from app.errors import Conflict, NotFound, Unprocessable
from app.records import ApiKey, User
from app.records.base import now

_KEY = (
    "SELECT id, name, scopes, last_used_at, address_ranges FROM api_keys"
    " WHERE key_sha256 = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s)"
)
_MOST_RANGES = 32
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")


def add_key(
    session: Session,
    *,
    name: str,
    scopes: list[Scope],
    by: Actor,
    lifetime: timedelta | None = None,
    address_ranges: Sequence[str] = (),
    press: Press | None = None,
) -> str:
    """Makes an API key, of use from these CIDR ranges only if there are any, and returns it; it cannot be
    shown again, but to the same press: that makes no other key.
    """
    secret = "fr_" + (press or Press.alone()).text("key")
    names.take_turns(session)
    made = session.scalar(select(ApiKey).where(ApiKey.key_sha256 == digest(secret)))
    if made is not None:
        return _again(made, secret)
    if not _KEY_NAME.fullmatch(name):
        raise Unprocessable("A key's name has 1 to 64 letters, digits, spaces, '.', '_' or '-'.")
    if not scopes:
        said_scopes = ", ".join(scope.value for scope in Scope)
        raise Unprocessable(f"Name at least one scope of {said_scopes}.")
    if session.scalar(select(ApiKey.id).where(ApiKey.name == name)) is not None:
        raise Conflict(f"There is a key {name} already; revoked keys keep their name too.")
    if session.scalar(select(User.id).where(User.username == name.lower())) is not None:
        raise Conflict(f"A person is called {name}; a key needs a name of its own, since claims show names.")
    ranges = _ranges(address_ranges)
    key = ApiKey(
        name=name,
        key_sha256=digest(secret),
        prefix=secret[:7],
        scopes=[scope.value for scope in scopes],
        address_ranges=ranges,
        created_by_name=by.name,
        expires_at=now() + lifetime if lifetime else None,
    )
    session.add(key)
    session.flush()
    audit.record(
        session,
        action="key.added",
        by=by,
        subject_id=key.id,
        name=name,
        scopes=key.scopes,
        address_ranges=ranges,
    )
    return secret


def _again(made: ApiKey, secret: str) -> str:
    if made.revoked_at is not None:
        raise Conflict(f"The key {made.name} was made here and revoked. Load the page again to make another.")
    return secret


def _ranges(given: Sequence[str]) -> list[str]:
    """As they are stored; a single address is a range of one."""
    if len(given) > _MOST_RANGES:
        raise Unprocessable(f"A key has at most {_MOST_RANGES} address ranges.")
    try:
        return [str(each) for each in ranges_of(given)]
    except ValueError:
        raise Unprocessable(
            "An address range is an address or a network in CIDR form whose other bits are zero,"
            " like 10.20.0.0/16 or fd00:12::/64."
        ) from None


class OutsideRange(Exception):
    """The key is right and came from an address it is not for; `name` is for the audit trail alone."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def revoke_key(session: Session, *, key_id: UUID, by: Actor) -> None:
    """The key opens nothing any more."""
    key = session.get(ApiKey, key_id, with_for_update=True)
    if key is None:
        raise NotFound("There is no such key.")
    if key.revoked_at is None:
        key.revoked_at, key.revoked_by_name = now(), by.name
        audit.record(session, action="key.revoked", by=by, subject_id=key.id, name=key.name)


def caller_of_key(connection: psycopg.Connection[Any], *, secret: str, address: str | None) -> Caller | None:
    """Who the bearer key belongs to; None for a revoked, expired or unknown key.

    Raises OutsideRange where it is not for this address. Each of its statements may be a transaction of its
    own.
    """
    key_sha256, moment = digest(secret), now()
    row = connection.execute(_KEY, (key_sha256, moment)).fetchone()
    if row is None:
        return None
    id_, name, scopes, last_used_at, ranges = row
    if ranges and not is_within(address, ranges_of(ranges)):
        raise OutsideRange(name)
    if last_used_at is None or moment - last_used_at > timedelta(minutes=1):
        connection.execute("UPDATE api_keys SET last_used_at = %s WHERE id = %s", (moment, id_))
    permissions = permissions_of_scopes([Scope(scope) for scope in scopes])
    return Caller(
        actor=Actor(kind="key", id=id_, name=name, permissions=permissions, address=address),
        csrf_token=None,
        must_change_password=False,
        roles=(),
        display_name=name,
    )
