"""Sessions: a browser that a person is signed in with, from the right password to its end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.commands import audit, passwords
from app.commands.passwords import digest
from app.domain.roles import Actor, Caller, Role, RotatedSession, SignedIn, permissions_of
from app.errors import NotSignedIn
from app.records import Session as SessionRecord
from app.records import SiteChoice, User
from app.records.base import now

SECOND_FACTOR_ROLES = "second_factor_roles"
"""The site's choice: the roles that nobody has without a second factor."""
_FOR_THE_CODE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Lockout:
    """After so many wrong answers in a row nobody signs in with the account for a while."""

    attempts: int
    lasting: timedelta


def sign_in(
    session: Session,
    *,
    username: str,
    password: str,
    address: str | None,
    lifetime: timedelta,
    administrators_only: bool = False,
) -> SignedIn:
    """A new session for the right password, which awaits the second factor of who has one; else NotSignedIn,
    after the same time and in the same words for any wrong answer, a locked account and one whose password
    opens nothing here included.
    """
    user = session.scalar(select(User).where(User.username == username.strip().lower()))
    known = user.password_hash if user else None
    right, updated_hash = passwords.verify(password, known)
    if user is not None and right:
        session.refresh(user, with_for_update=True)  # what was changed meanwhile holds
    if (
        user is None
        or not right
        or user.password_hash != known
        or not may_come_in(user)
        or (administrators_only and Role.ADMINISTRATOR.value not in user.roles)
    ):
        raise NotSignedIn(
            "The user name or the password is not right."
            " After many attempts an account is locked for a while."
        )
    if updated_hash:
        user.password_hash = updated_hash
    if user.totp_since is None:
        return open_session(session, user=user, address=address, lifetime=lifetime, via="password")
    token = secrets.token_urlsafe(32)
    session.add(
        SessionRecord(
            user_id=user.id,
            token_sha256=digest(token),
            csrf_token=secrets.token_urlsafe(24),
            expires_at=now() + _FOR_THE_CODE,
            address=address,
            awaits_second_factor=True,
        )
    )
    return SignedIn(
        token=token, csrf_token="", user_id=user.id, must_change_password=False, awaits_second_factor=True
    )


def may_come_in(user: User) -> bool:
    """False of a disabled and of a locked account."""
    return user.disabled_at is None and (user.locked_until is None or user.locked_until <= now())


def open_session(
    session: Session,
    *,
    user: User,
    address: str | None,
    lifetime: timedelta,
    via: str,
    second_factor: str | None = None,
) -> SignedIn:
    """A new session of somebody who has proved who they are; wrong answers of before are forgotten."""
    token = secrets.token_urlsafe(32)
    record = SessionRecord(
        user_id=user.id,
        token_sha256=digest(token),
        csrf_token=secrets.token_urlsafe(24),
        expires_at=now() + lifetime,
        address=address,
        via=via,
    )
    session.add(record)
    session.flush()
    user.last_signed_in_at = now()
    user.failed_sign_ins, user.locked_until = 0, None
    actor = Actor(kind="user", id=user.id, name=user.username, address=address, session_id=record.id)
    proofs: dict[str, Any] = {"via": via}
    if second_factor is not None:
        proofs["second_factor"] = second_factor
    audit.record(session, action="user.signed-in", by=actor, subject_id=user.id, **proofs)
    return SignedIn(
        token=token,
        csrf_token=record.csrf_token,
        user_id=user.id,
        must_change_password=user.must_change_password and via == "password",
    )


def count_wrong(session: Session, *, username: str, address: str | None, lockout: Lockout) -> None:
    """One wrong answer more; the last one of `lockout` locks the account, which is on record."""
    row = session.execute(
        update(User)
        .where(User.username == username.strip().lower(), User.disabled_at.is_(None))
        .values(failed_sign_ins=User.failed_sign_ins + 1)
        .returning(User.id, User.username, User.failed_sign_ins, User.locked_until)
    ).one_or_none()
    if row is None or row.failed_sign_ins < lockout.attempts:
        return
    session.execute(
        update(User).where(User.id == row.id).values(failed_sign_ins=0, locked_until=now() + lockout.lasting)
    )
    nobody = Actor(kind="anonymous", id=None, name="anonymous", address=address)
    audit.record(
        session,
        action="user.locked-out",
        by=nobody,
        subject_id=row.id,
        username=row.username,
        attempts=row.failed_sign_ins,
    )


def rotate(session: Session, *, session_id: UUID) -> RotatedSession:
    """The session goes on under a new token and a new form token; the old ones open nothing."""
    rotated = RotatedSession(token=secrets.token_urlsafe(32), csrf_token=secrets.token_urlsafe(24))
    session.execute(
        update(SessionRecord)
        .where(SessionRecord.id == session_id)
        .values(token_sha256=digest(rotated.token), csrf_token=rotated.csrf_token)
    )
    return rotated


def sign_out(session: Session, *, by: Actor) -> None:
    """The caller's session has ended."""
    session.execute(update(SessionRecord).where(SessionRecord.id == by.session_id).values(ended_at=now()))
    audit.record(session, action="user.signed-out", by=by, subject_id=by.id)


def sign_out_everywhere(session: Session, *, user_id: UUID, by: Actor) -> int:
    """Every session of the user but the caller's own has ended; returns how many were open."""
    ended = end_sessions(session, user_id=user_id, keep=by.session_id if by.id == user_id else None)
    if ended:
        audit.record(session, action="user.sessions-ended", by=by, subject_id=user_id, sessions=ended)
    return ended


def end_session_of(session: Session, *, token: str) -> None:
    """The session of this token has ended: its browser is given another."""
    session.execute(
        update(SessionRecord)
        .where(SessionRecord.token_sha256 == digest(token), SessionRecord.ended_at.is_(None))
        .values(ended_at=now())
    )


def end_sessions(session: Session, *, user_id: UUID, keep: UUID | None = None) -> int:
    """Every session of the user but `keep` has ended; returns how many were open."""
    statement = update(SessionRecord).where(
        SessionRecord.user_id == user_id, SessionRecord.ended_at.is_(None)
    )
    if keep is not None:
        statement = statement.where(SessionRecord.id != keep)
    moment = now()
    open_until = session.scalars(statement.values(ended_at=moment).returning(SessionRecord.expires_at)).all()
    return sum(until > moment for until in open_until)


def caller_of_session(
    session: Session, *, token: str, address: str | None, idle: timedelta, counts_as_activity: bool = True
) -> Caller | None:
    """Who the cookie's token belongs to; None for an ended, expired or unknown session, and for one that
    awaits a second factor.

    A request that no person caused (a live page that reconnects) does not count as activity.
    """
    asking = select(SiteChoice.value).where(SiteChoice.name == SECOND_FACTOR_ROLES).scalar_subquery()
    row = session.execute(
        select(SessionRecord, User, asking)
        .join(User, User.id == SessionRecord.user_id)
        .where(SessionRecord.token_sha256 == digest(token)),
    ).one_or_none()
    if row is None:
        return None
    record, user, second_factor_roles = row
    moment = now()
    if (
        record.ended_at is not None
        or record.awaits_second_factor
        or record.expires_at <= moment
        or record.last_seen_at + idle <= moment
        or user.disabled_at is not None
    ):
        return None
    if counts_as_activity and moment - record.last_seen_at > timedelta(seconds=30):
        record.last_seen_at = moment
    roles = tuple(Role(role) for role in user.roles)
    by_password = record.via == "password"
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
        must_change_password=user.must_change_password and by_password,
        roles=roles,
        display_name=user.display_name,
        language=user.preferences.get("language"),
        must_enrol=by_password
        and user.totp_since is None
        and not set(user.roles).isdisjoint(second_factor_roles or ()),
        via=record.via,
    )
