"""People, their sessions, and the keys of machines. Only hashes of secrets are stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class User(HasId, Base):
    """A person who signs in."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(JSONB)
    password_hash: Mapped[str]
    must_change_password: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    disabled_at: Mapped[datetime | None]
    disabled_by_name: Mapped[str | None]
    last_signed_in_at: Mapped[datetime | None]
    preferences: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    """`{columns: [name], views: [{name, query}]}` of the worklist, and `opinion_after`: the sequence of the
    last reading there was when the person chose to read blind; and `language`. What is missing is as usual.
    """

    __table_args__ = (
        CheckConstraint("(disabled_at IS NULL) = (disabled_by_name IS NULL)", name="disabled_who_and_when"),
        CheckConstraint("username = lower(username)", name="username_lower"),
    )


class Session(HasId, Base):
    """A browser signed in; the cookie holds the token, the table its sha256."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    csrf_token: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    address: Mapped[str | None]


class ApiKey(HasId, Base):
    """A machine's key; shown once, stored as sha256 (it is random and long, so no slow hash is needed)."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(unique=True)
    key_sha256: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by_name: Mapped[str | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(revoked_at IS NULL) = (revoked_by_name IS NULL)", name="revoked_who_and_when"),
    )
