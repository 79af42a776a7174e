"""Who may come in: the people and the keys of machines, for the command line and the administrator's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.roles import Actor
from app.records import ApiKey, RecoveryCode, User
from app.records import Session as SessionRecord
from app.records.base import now

_MOST_SESSIONS = 50


@dataclass(frozen=True, kw_only=True)
class UserShown:
    """A person; nothing of their password."""

    id: UUID
    username: str
    display_name: str
    roles: tuple[str, ...]
    must_change_password: bool
    disabled: bool
    last_signed_in_at: datetime | None
    locked_until: datetime | None
    """None where the account is not locked."""
    second_factor: bool
    at_provider: bool
    """They sign in there, which also says their roles."""


@dataclass(frozen=True, kw_only=True)
class SessionShown:
    """A browser somebody is signed in with."""

    address: str | None
    since: datetime
    last_seen_at: datetime
    this_one: bool


@dataclass(frozen=True, kw_only=True)
class SecondFactorShown:
    """What the person it belongs to may know of it; never the secret."""

    since: datetime | None
    pending: bool
    """A secret was made and is not in force yet."""
    codes_left: int
    at_provider: bool


@dataclass(frozen=True, kw_only=True)
class KeyShown:
    """A machine's key; of the key itself only how it begins."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
    address_ranges: tuple[str, ...]
    expires_at: datetime | None
    revoked: bool
    last_used_at: datetime | None


def users(session: Session) -> tuple[UserShown, ...]:
    """Everybody, disabled or not, by user name."""
    return tuple(
        UserShown(
            id=user.id,
            username=user.username,
            display_name=user.display_name,
            roles=tuple(user.roles),
            must_change_password=user.must_change_password,
            disabled=user.disabled_at is not None,
            last_signed_in_at=user.last_signed_in_at,
            locked_until=user.locked_until if user.locked_until and user.locked_until > now() else None,
            second_factor=user.totp_since is not None,
            at_provider=user.oidc_subject is not None,
        )
        for user in session.scalars(select(User).order_by(User.username))
    )


def keys(session: Session) -> tuple[KeyShown, ...]:
    """All keys, revoked or not, by name."""
    return tuple(
        KeyShown(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            scopes=tuple(key.scopes),
            address_ranges=tuple(key.address_ranges),
            expires_at=key.expires_at,
            revoked=key.revoked_at is not None,
            last_used_at=key.last_used_at,
        )
        for key in session.scalars(select(ApiKey).order_by(ApiKey.name))
    )


def open_sessions(session: Session, *, who: Actor, idle: timedelta) -> tuple[SessionShown, ...]:
    """Where this person is signed in, the latest seen first."""
    rows = session.scalars(
        select(SessionRecord)
        .where(
            SessionRecord.user_id == who.id,
            SessionRecord.ended_at.is_(None),
            SessionRecord.awaits_second_factor.is_(False),
            SessionRecord.expires_at > now(),
            SessionRecord.last_seen_at > now() - idle,
        )
        .order_by(SessionRecord.last_seen_at.desc())
        .limit(_MOST_SESSIONS)
    )
    return tuple(
        SessionShown(
            address=row.address,
            since=row.created_at,
            last_seen_at=row.last_seen_at,
            this_one=row.id == who.session_id,
        )
        for row in rows
    )


def second_factor(session: Session, *, who: Actor) -> SecondFactorShown | None:
    """That of this person; None of a key."""
    user = session.get(User, who.id) if who.kind == "user" else None
    if user is None:
        return None
    unused = select(func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return SecondFactorShown(
        since=user.totp_since,
        pending=user.totp_secret is not None and user.totp_since is None,
        codes_left=session.scalar(unused) or 0,
        at_provider=user.oidc_subject is not None,
    )


def is_username(session: Session, *, username: str) -> bool:
    """True when somebody, disabled or not, has that user name."""
    name = username.strip().lower()
    return session.scalar(select(User.id).where(User.username == name)) is not None
