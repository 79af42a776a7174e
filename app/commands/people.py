"""People and keys: who may come in, and how they prove it."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.commands import audit, drafts, names, passwords
from app.commands.sessions import end_sessions, rotate
from app.domain.press import Press
from app.domain.roles import SYSTEM, Actor, Role, RotatedSession
from app.errors import Conflict, NotFound, Unprocessable
from app.records import ApiKey, User
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


def add_user(
    session: Session,
    *,
    username: str,
    display_name: str,
    roles: list[Role],
    by: Actor,
    press: Press | None = None,
) -> str:
    """Makes a user and returns the one-time password, which must be changed at the first sign-in. The same
    press again makes nobody and returns it until then.
    """
    names.take_turns(session)
    one_time = _drawn(press, None)
    there = session.scalar(select(User).where(User.username == username.strip().lower()))
    if there is not None and there.last_signed_in_at is None and _is_in_force(there, one_time):
        return one_time
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


def set_roles(session: Session, *, user_id: UUID, roles: list[Role], by: Actor) -> RotatedSession | None:
    """The user has exactly these roles. Where they had others, their sessions have ended, but for the one of
    somebody who sets their own, which goes on under the returned token.
    """
    if not roles:
        raise Unprocessable("A user needs at least one role; disable the account instead.")
    user = _user(session, user_id)
    _check_roles_are_ours(user)
    if Role.ADMINISTRATOR.value in user.roles and Role.ADMINISTRATOR not in roles:
        _keep_an_administrator(session, except_id=user.id)
    changed = set(user.roles) != {role.value for role in roles}
    if not changed:
        return None
    user.roles = [role.value for role in roles]
    audit.record(session, action="user.roles-set", by=by, subject_id=user.id, roles=user.roles)
    own = by.session_id if by.id == user.id else None
    end_sessions(session, user_id=user.id, keep=own)
    return rotate(session, session_id=own) if own else None


def disable_user(session: Session, *, user_id: UUID, by: Actor) -> None:
    """The user cannot sign in any more; every session of theirs has ended, and no draft of theirs is kept."""
    user = _user(session, user_id)
    if user.disabled_at is not None:
        return
    if Role.ADMINISTRATOR.value in user.roles:
        _keep_an_administrator(session, except_id=user.id)
    user.disabled_at, user.disabled_by_name = now(), by.name
    end_sessions(session, user_id=user.id)
    drafts.discard_all(session, user_id=user.id)
    audit.record(session, action="user.disabled", by=by, subject_id=user.id)


def enable_user(session: Session, *, user_id: UUID, by: Actor, press: Press | None = None) -> str | None:
    """The user can come in again, with the roles of before; returns a new one-time password, since the old
    one may be why they were kept out, or None of who signs in at a provider. The same press again returns it
    until they have signed in. Raises `Conflict` where nobody kept them out.
    """
    user = _user(session, user_id)
    one_time = _drawn(press, user.last_signed_in_at)
    if user.disabled_at is None:
        if _is_in_force(user, one_time):
            return one_time
        raise Conflict(f"{user.username} is not disabled.")
    user.disabled_at = user.disabled_by_name = None
    audit.record(session, action="user.enabled", by=by, subject_id=user.id)
    if user.oidc_subject is not None:
        return None
    _set_one_time(user, one_time)
    return one_time


def reset_password(session: Session, *, user_id: UUID, by: Actor, press: Press | None = None) -> str:
    """Returns a new one-time password; the old one, a lock and every session of the user have ended. The same
    press again returns the same until the user has signed in. Raises Conflict of who signs in at a provider.
    """
    user = _user(session, user_id)
    if user.oidc_subject is not None:
        raise Conflict(f"{user.username} signs in at the provider and has no password here.")
    one_time = _drawn(press, user.last_signed_in_at)
    if _is_in_force(user, one_time):
        return one_time
    _set_one_time(user, one_time)
    end_sessions(session, user_id=user.id)
    audit.record(session, action="user.password-reset", by=by, subject_id=user.id)
    return one_time


def _drawn(press: Press | None, last_signed_in_at: datetime | None) -> str:
    """Another one after each sign-in: what its owner has changed does not come back."""
    signed_in = str(last_signed_in_at.timestamp()) if last_signed_in_at else ""
    return passwords.one_time() if press is None else press.text("one-time password", signed_in, size=12)


def _is_in_force(user: User, one_time: str) -> bool:
    if not user.must_change_password or user.locked_until is not None or user.disabled_at is not None:
        return False
    return passwords.verify(one_time, user.password_hash)[0]


def _set_one_time(user: User, one_time: str) -> None:
    user.password_hash, user.must_change_password = passwords.hashed(one_time), True
    user.failed_sign_ins, user.locked_until = 0, None


def change_password(
    session: Session, *, user_id: UUID, current: str, new: str, by: Actor
) -> RotatedSession | None:
    """The user's own change; ends their other sessions, and this one goes on under the returned token."""
    user = _user(session, user_id)
    passwords.check_change(username=user.username, known=user.password_hash, current=current, new=new)
    user.password_hash, user.must_change_password = passwords.hashed(new), False
    end_sessions(session, user_id=user.id, keep=by.session_id)
    audit.record(session, action="user.password-changed", by=by, subject_id=user.id)
    return rotate(session, session_id=by.session_id) if by.session_id else None


def unlock(session: Session, *, user_id: UUID, by: Actor) -> None:
    """The user may try to sign in again at once. Raises Conflict where the account is not locked."""
    user = _user(session, user_id)
    if user.locked_until is None or user.locked_until <= now():
        raise Conflict(f"{user.username} is not locked out.")
    user.failed_sign_ins, user.locked_until = 0, None
    audit.record(session, action="user.unlocked", by=by, subject_id=user.id)


def check_exists(session: Session, *, user_id: UUID) -> None:
    """Raises NotFound where there is no such user."""
    _user(session, user_id)


def _user(session: Session, user_id: UUID) -> User:
    user = session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _check_roles_are_ours(user: User) -> None:
    if user.oidc_subject is not None:
        raise Conflict(
            f"The roles of {user.username} come from the provider at each sign-in; set them there."
        )


def _keep_an_administrator(session: Session, *, except_id: UUID) -> None:
    """Somebody must be left who can come in while no provider answers."""
    others = session.scalars(
        select(User)
        .where(User.id != except_id, User.disabled_at.is_(None), User.password_hash.is_not(None))
        .with_for_update()
    )
    if not any(Role.ADMINISTRATOR.value in other.roles for other in others):
        raise Conflict("This is the last administrator with a password here; make another one first.")
