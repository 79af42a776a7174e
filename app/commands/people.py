"""People and keys: who may come in, and how they prove it."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.commands import audit, passwords
from app.domain.roles import (
    SYSTEM,
    Actor,
    Caller,
    Role,
    SignedIn,
    permissions_of,
)
from app.errors import Conflict, NotFound, NotSignedIn, Unprocessable
from app.records import ApiKey, User
from app.records import Session as SessionRecord
from app.records.base import now

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
FIRST_ADMINISTRATOR_ROLES = [Role.ADMINISTRATOR, Role.RADIOLOGIST, Role.AUDITOR]
"""The first person may do everything, so that one can try the service alone; a site splits the roles."""


def create_first_administrator(session: Session, *, password: str | None) -> str | None:
    """Makes user `admin` where there is no user yet.

    Returns the one-time password it made, or None where there was a user already or `password` was given.
    """
    if session.scalar(select(User.id).limit(1)) is not None:
        return None
    one_time = None if password else passwords.one_time()
    _add(
        session,
        username="admin",
        display_name="Administrator",
        roles=FIRST_ADMINISTRATOR_ROLES,
        password=password or one_time or "",
        must_change=password is None,
        by=SYSTEM,
    )
    return one_time


def add_user(session: Session, *, username: str, display_name: str, roles: list[Role], by: Actor) -> str:
    """Makes a user and returns the one-time password, which must be changed at the first sign-in."""
    one_time = passwords.one_time()
    _add(
        session,
        username=username,
        display_name=display_name,
        roles=roles,
        password=one_time,
        must_change=True,
        by=by,
    )
    return one_time


def _add(
    session: Session,
    *,
    username: str,
    display_name: str,
    roles: list[Role],
    password: str,
    must_change: bool,
    by: Actor,
) -> None:
    username = username.strip().lower()
    if not _USERNAME.fullmatch(username):
        raise Unprocessable("A user name has 1 to 64 letters a-z, digits, '.', '_', '@' or '-'.")
    if not roles:
        said_roles = ", ".join(role.value for role in Role)
        raise Unprocessable(f"Name at least one role of {said_roles}.")
    if session.scalar(select(User.id).where(User.username == username)) is not None:
        raise Conflict(f"There is a user {username} already.")
    if session.scalar(select(ApiKey.id).where(func.lower(ApiKey.name) == username)) is not None:
        raise Conflict(f"A key is called {username}; a person needs another name, since claims show names.")
    user = User(
        username=username,
        display_name=display_name.strip() or username,
        roles=[role.value for role in roles],
        password_hash=passwords.hashed(password),
        must_change_password=must_change,
        created_by_name=by.name,
    )
    session.add(user)
    session.flush()
    audit.record(session, action="user.added", by=by, subject_id=user.id, username=username, roles=user.roles)


def set_roles(session: Session, *, user_id: UUID, roles: list[Role], by: Actor) -> None:
    """The user has exactly these roles from the next request on."""
    if not roles:
        raise Unprocessable("A user needs at least one role; disable the account instead.")
    user = _user(session, user_id)
    if Role.ADMINISTRATOR.value in user.roles and Role.ADMINISTRATOR not in roles:
        _keep_an_administrator(session, except_id=user.id)
    user.roles = [role.value for role in roles]
    audit.record(session, action="user.roles-set", by=by, subject_id=user.id, roles=user.roles)


def disable_user(session: Session, *, user_id: UUID, by: Actor) -> None:
    """The user cannot sign in any more and every session of theirs has ended."""
    user = _user(session, user_id)
    if user.disabled_at is not None:
        return
    if Role.ADMINISTRATOR.value in user.roles:
        _keep_an_administrator(session, except_id=user.id)
    user.disabled_at, user.disabled_by_name = now(), by.name
    end_sessions(session, user_id=user.id)
    audit.record(session, action="user.disabled", by=by, subject_id=user.id)


def enable_user(session: Session, *, user_id: UUID, by: Actor) -> str:
    """The user can come in again, with the roles of before; returns a new one-time password, since the old
    one may be why they were kept out. Raises `Conflict` where nobody kept them out.
    """
    user = _user(session, user_id)
    if user.disabled_at is None:
        raise Conflict(f"{user.username} is not disabled.")
    one_time = passwords.one_time()
    user.disabled_at = user.disabled_by_name = None
    user.password_hash, user.must_change_password = passwords.hashed(one_time), True
    audit.record(session, action="user.enabled", by=by, subject_id=user.id)
    return one_time


def reset_password(session: Session, *, user_id: UUID, by: Actor) -> str:
    """Returns a new one-time password; the old one and every session of the user have ended."""
    user = _user(session, user_id)
    one_time = passwords.one_time()
    user.password_hash, user.must_change_password = passwords.hashed(one_time), True
    end_sessions(session, user_id=user.id)
    audit.record(session, action="user.password-reset", by=by, subject_id=user.id)
    return one_time


def change_password(session: Session, *, user_id: UUID, current: str, new: str, by: Actor) -> None:
    """The user's own change; ends their other sessions."""
    user = _user(session, user_id)
    passwords.check_change(username=user.username, known=user.password_hash, current=current, new=new)
    user.password_hash, user.must_change_password = passwords.hashed(new), False
    end_sessions(session, user_id=user.id, keep=by.session_id)
    audit.record(session, action="user.password-changed", by=by, subject_id=user.id)


def sign_in(
    session: Session, *, username: str, password: str, address: str | None, lifetime: timedelta
) -> SignedIn:
    """A new session for the right password; else NotSignedIn, after the same time for any wrong answer."""
    user = session.scalar(select(User).where(User.username == username.strip().lower()))
    right, updated_hash = passwords.verify(password, user.password_hash if user else None)
    if user is None or not right or user.disabled_at is not None:
        raise NotSignedIn("The user name or the password is not right.")
    if updated_hash:
        user.password_hash = updated_hash
    token = secrets.token_urlsafe(32)
    record = SessionRecord(
        user_id=user.id,
        token_sha256=digest(token),
        csrf_token=secrets.token_urlsafe(24),
        expires_at=now() + lifetime,
        address=address,
    )
    session.add(record)
    session.flush()
    user.last_signed_in_at = now()
    actor = Actor(kind="user", id=user.id, name=user.username, address=address, session_id=record.id)
    audit.record(session, action="user.signed-in", by=actor, subject_id=user.id)
    return SignedIn(
        token=token,
        csrf_token=record.csrf_token,
        user_id=user.id,
        must_change_password=user.must_change_password,
    )


def sign_out(session: Session, *, by: Actor) -> None:
    """The caller's session has ended."""
    session.execute(update(SessionRecord).where(SessionRecord.id == by.session_id).values(ended_at=now()))
    audit.record(session, action="user.signed-out", by=by, subject_id=by.id)


def end_sessions(session: Session, *, user_id: UUID, keep: UUID | None = None) -> None:
    """Every session of the user but `keep` has ended."""
    statement = update(SessionRecord).where(
        SessionRecord.user_id == user_id, SessionRecord.ended_at.is_(None)
    )
    if keep is not None:
        statement = statement.where(SessionRecord.id != keep)
    session.execute(statement.values(ended_at=now()))


def caller_of_session(
    session: Session, *, token: str, address: str | None, idle: timedelta, counts_as_activity: bool = True
) -> Caller | None:
    """Who the cookie's token belongs to; None for an ended, expired or unknown session.

    A request that no person caused (a live page that reconnects) does not count as activity.
    """
    row = session.execute(
        select(SessionRecord, User)
        .join(User, User.id == SessionRecord.user_id)
        .where(SessionRecord.token_sha256 == digest(token)),
    ).one_or_none()
    if row is None:
        return None
    record, user = row
    moment = now()
    if (
        record.ended_at is not None
        or record.expires_at <= moment
        or record.last_seen_at + idle <= moment
        or user.disabled_at is not None
    ):
        return None
    if counts_as_activity and moment - record.last_seen_at > timedelta(seconds=30):
        record.last_seen_at = moment
    roles = tuple(Role(role) for role in user.roles)
    return Caller(
        actor=Actor(
            kind="user",
            id=user.id,
            name=user.username,
            permissions=permissions_of(list(roles)),
            address=address,
            session_id=record.id,
        ),
        csrf_token=record.csrf_token,
        must_change_password=user.must_change_password,
        roles=roles,
        display_name=user.display_name,
        language=user.preferences.get("language"),
    )


def _user(session: Session, user_id: UUID) -> User:
    user = session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _keep_an_administrator(session: Session, *, except_id: UUID) -> None:
    others = session.scalars(
        select(User).where(User.id != except_id, User.disabled_at.is_(None)).with_for_update()
    )
    if not any(Role.ADMINISTRATOR.value in other.roles for other in others):
        raise Conflict("This is the last administrator; make another one first.")


def digest(secret: str) -> str:
    """What is stored of a long random secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
