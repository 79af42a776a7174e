"""Who may come in: the people and the keys of machines, for the command line and the administrator's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records import ApiKey, User


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


@dataclass(frozen=True, kw_only=True)
class KeyShown:
    """A machine's key; of the key itself only how it begins."""

    id: UUID
    name: str
    prefix: str
    scopes: tuple[str, ...]
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
            expires_at=key.expires_at,
            revoked=key.revoked_at is not None,
            last_used_at=key.last_used_at,
        )
        for key in session.scalars(select(ApiKey).order_by(ApiKey.name))
    )


def is_username(session: Session, *, username: str) -> bool:
    """True when somebody, disabled or not, has that user name."""
    name = username.strip().lower()
    return session.scalar(select(User.id).where(User.username == name)) is not None
