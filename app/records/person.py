"""People, their sessions, and the keys of machines. Only hashes of secrets are stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.records.base import Base, HasId, now


class User(HasId, Base):
    """A person who signs in."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(JSONB)
    password_hash: Mapped[str | None]
    """None of who signs in elsewhere: no password of theirs opens anything here."""
    must_change_password: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    disabled_at: Mapped[datetime | None]
    disabled_by_name: Mapped[str | None]
    last_signed_in_at: Mapped[datetime | None]
    failed_sign_ins: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """Wrong answers since the last sign-in."""
    locked_until: Mapped[datetime | None]
    totp_secret: Mapped[str | None]
    """Of the second factor; not in force before `totp_since`."""
    totp_since: Mapped[datetime | None]
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    """The 30 seconds whose code was used last; none of before counts any more."""
    oidc_issuer: Mapped[str | None]
    oidc_subject: Mapped[str | None]
    """Who the person is to the provider they sign in at; no name and no e-mail address stands for it."""
    preferences: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    """`{columns: [name], views: [{name, query}]}` of the worklist, and `opinion_after`: the sequence of the
    last reading there was when the person chose to read blind; and `language`. What is missing is as usual.
    """

    __table_args__ = (
        CheckConstraint("(disabled_at IS NULL) = (disabled_by_name IS NULL)", name="disabled_who_and_when"),
        CheckConstraint("username = lower(username)", name="username_lower"),
        CheckConstraint("(oidc_issuer IS NULL) = (oidc_subject IS NULL)", name="oidc_issuer_and_subject"),
        CheckConstraint("totp_since IS NULL OR totp_secret IS NOT NULL", name="totp_since_secret"),
        UniqueConstraint("oidc_issuer", "oidc_subject"),
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
    via: Mapped[str] = mapped_column(default="password", server_default=text("'password'"))
    awaits_second_factor: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """True of what a right password opened: it opens nothing but the question for the code."""

    __table_args__ = (CheckConstraint("via IN ('password', 'oidc')", name="via"),)


class RecoveryCode(HasId, Base):
    """A code that stands once for the second factor of somebody who has lost it; stored as sha256."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    code_sha256: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime | None]


class OidcSignIn(HasId, Base):
    """A browser on its way to the provider and back; what comes back is compared with it, once."""

    __tablename__ = "oidc_sign_ins"

    state_sha256: Mapped[str] = mapped_column(unique=True)
    browser_sha256: Mapped[str]
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    next: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiKey(HasId, Base):
    """A machine's key; shown once, stored as sha256 (it is random and long, so no slow hash is needed)."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(unique=True)
    key_sha256: Mapped[str] = mapped_column(unique=True)
    prefix: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSONB)
    address_ranges: Mapped[list[str]] = mapped_column(JSONB, default=list, server_default=text("'[]'"))
    """CIDR ranges it may be used from; none means from anywhere."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by_name: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by_name: Mapped[str | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("(revoked_at IS NULL) = (revoked_by_name IS NULL)", name="revoked_who_and_when"),
    )
