"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes without it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import pyotp
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.commands import audit, passwords, site_choices
from app.commands.passwords import WrongProof, digest
from app.commands.sessions import (
    SECOND_FACTOR_ROLES,
    end_sessions,
    may_come_in,
    open_session,
    rotate,
)
from app.domain.press import Press
from app.domain.roles import Actor, Role, RotatedSession, SignedIn
from app.errors import Conflict, NotFound, NotSignedIn
from app.records import RecoveryCode, SiteChoice, User
from app.records import Session as SessionRecord
from app.records.base import now

RECOVERY_CODES = 10
_STEP_SECONDS = 30
_SECRET_BYTES = 20
"""160 bits, as RFC 4226 recommends."""
_EARLIER_AND_LATER = 1
"""Steps of 30 s that a clock may be wrong by."""
_RECOVERY_BYTES = 10
"""80 random bits, so that a plain sha256 keeps them."""


def begin(session: Session, *, password: str, by: Actor, press: Press | None = None) -> str:
    """A new secret for the caller's app, in force once `confirm` has seen a code of it; returns it. The same
    press again returns the same one.
    """
    user = _own(session, by)
    passwords.check_current(password, user.password_hash)
    if user.totp_since is not None:
        raise Conflict("You have a second factor already; remove it first.")
    drawn = (press or Press.alone()).drawn("second factor", size=_SECRET_BYTES)
    user.totp_secret, user.totp_last_step = base64.b32encode(drawn).decode(), None
    return user.totp_secret


def confirm(session: Session, *, code: str, by: Actor) -> tuple[list[str], RotatedSession]:
    """The second factor is in force: the app has shown that it holds the secret. Returns the recovery codes,
    which are shown once, and the caller's session under a new token; their other sessions have ended.
    """
    user = _own(session, by)
    if user.totp_since is not None or user.totp_secret is None:
        raise Conflict("There is no second factor to be confirmed; begin anew.")
    if not _accept(user, code):
        raise WrongProof("The code is not right. Is the clock of your device?")
    assert by.session_id is not None
    user.totp_since = now()
    end_sessions(session, user_id=user.id, keep=by.session_id)
    audit.record(session, action="user.second-factor-set", by=by, subject_id=user.id)
    return _new_recovery_codes(session, user, Press.alone()), rotate(session, session_id=by.session_id)


def renew_recovery_codes(session: Session, *, code: str, by: Actor, press: Press | None = None) -> list[str]:
    """New recovery codes, shown once, and to the same press again until one is used; those of before open
    nothing.
    """
    user, press = _own(session, by), press or Press.alone()
    unused = select(RecoveryCode.code_sha256).where(
        RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None)
    )
    if set(session.scalars(unused)) == {digest(_read(drawn)) for drawn in _drawn_codes(press)}:
        return _drawn_codes(press)
    _check_in_force(user, code)
    audit.record(session, action="user.recovery-codes-renewed", by=by, subject_id=user.id)
    return _new_recovery_codes(session, user, press)


def remove(session: Session, *, code: str, by: Actor) -> RotatedSession:
    """The caller signs in with the password alone again; refused where a role of theirs asks for more."""
    user = _own(session, by)
    _check_in_force(user, code)
    if not required_of(session).isdisjoint(Role(role) for role in user.roles):
        raise Conflict("A role of yours needs a second factor; an administrator can reset it.")
    assert by.session_id is not None
    _forget(session, user)
    end_sessions(session, user_id=user.id, keep=by.session_id)
    audit.record(session, action="user.second-factor-removed", by=by, subject_id=user.id)
    return rotate(session, session_id=by.session_id)


def reset(session: Session, *, user_id: UUID, by: Actor) -> None:
    """For somebody who has lost app and codes: the factor is gone, and their sessions have ended."""
    user = session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    if user.totp_since is None:
        raise Conflict(f"{user.username} has no second factor.")
    _forget(session, user)
    end_sessions(session, user_id=user.id)
    audit.record(session, action="user.second-factor-reset", by=by, subject_id=user.id)


def finish_sign_in(
    session: Session, *, token: str, code: str, address: str | None, lifetime: timedelta
) -> SignedIn:
    """A session for the right code, after `sessions.sign_in` gave `token` for the right password.

    The code is of the app or a recovery code; each opens one session. Raises NotSignedIn for a wrong one.
    """
    found = session.execute(
        select(SessionRecord, User)
        .join(User, User.id == SessionRecord.user_id)
        .where(
            SessionRecord.token_sha256 == digest(token),
            SessionRecord.awaits_second_factor,
            SessionRecord.ended_at.is_(None),
            SessionRecord.expires_at > now(),
        )
        .with_for_update()
    ).one_or_none()
    if found is None:
        raise NotSignedIn("It took too long, or the code was asked for anew. Begin with your password.")
    waiting, user = found
    if not may_come_in(user) or user.totp_since is None:
        raise NotSignedIn("The code is not right, or was used before. Wait for the next one.")
    if _accept(user, code):
        factor = "app"
    elif _use_recovery_code(session, user, code):
        factor = "recovery-code"
    else:
        raise NotSignedIn("The code is not right, or was used before. Wait for the next one.")
    waiting.ended_at = now()
    return open_session(
        session, user=user, address=address, lifetime=lifetime, via="password", second_factor=factor
    )


def name_of_waiting(session: Session, *, token: str) -> str | None:
    """Whose code is waited for with this token, whether in time or not."""
    return session.scalar(
        select(User.username)
        .join(SessionRecord, SessionRecord.user_id == User.id)
        .where(SessionRecord.token_sha256 == digest(token), SessionRecord.awaits_second_factor)
    )


def require_of(session: Session, *, roles: Collection[Role], by: Actor) -> None:
    """Whoever has one of these roles, and signs in here, does nothing before they have a second factor."""
    chosen = sorted(role.value for role in roles)
    changed, _ = site_choices.choose(session, name=SECOND_FACTOR_ROLES, value=chosen, by=by)
    if changed:
        audit.record(session, action="site.second-factor-required", by=by, roles=chosen)


def required_of(session: Session) -> set[Role]:
    """The roles that need one."""
    row = session.get(SiteChoice, SECOND_FACTOR_ROLES)
    return {Role(role) for role in (row.value if row else ())}


def _own(session: Session, by: Actor) -> User:
    user = session.get(User, by.id, with_for_update=True) if by.kind == "user" else None
    if user is None:
        raise Conflict("A key has no second factor.")
    if user.oidc_subject is not None:
        raise Conflict("You sign in at the provider, which asks for a second factor if it wants one.")
    return user


def _check_in_force(user: User, code: str) -> None:
    if user.totp_since is None:
        raise Conflict("You have no second factor.")
    if not _accept(user, code):
        raise WrongProof("The code is not right, or was used before. Wait for the next one.")


def _accept(user: User, code: str) -> bool:
    """True for a code of now or of a step beside it, once: it and all earlier ones count no more."""
    given = "".join(code.split())
    if user.totp_secret is None or not (given.isascii() and given.isdecimal()):
        return False
    codes = pyotp.TOTP(user.totp_secret, interval=_STEP_SECONDS)
    here = int(now().timestamp()) // _STEP_SECONDS
    for step in range(here - _EARLIER_AND_LATER, here + _EARLIER_AND_LATER + 1):
        fresh = user.totp_last_step is None or step > user.totp_last_step
        if fresh and hmac.compare_digest(codes.generate_otp(step), given):
            user.totp_last_step = step
            return True
    return False


def _drawn_codes(press: Press) -> list[str]:
    return [
        _written(press.drawn("recovery code", str(number), size=_RECOVERY_BYTES))
        for number in range(RECOVERY_CODES)
    ]


def _new_recovery_codes(session: Session, user: User, press: Press) -> list[str]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = _drawn_codes(press)
    session.add_all([RecoveryCode(user_id=user.id, code_sha256=digest(_read(code))) for code in codes])
    return codes


def _use_recovery_code(session: Session, user: User, code: str) -> bool:
    statement = (
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_sha256 == digest(_read(code)),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now())
        .returning(RecoveryCode.id)
    )
    return session.scalar(statement) is not None


def _forget(session: Session, user: User) -> None:
    user.totp_secret = user.totp_since = user.totp_last_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def _written(random: bytes) -> str:
    text = base64.b32encode(random).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _read(code: str) -> str:
    """As it was made, however it was typed."""
    return "".join(code.split()).replace("-", "").upper()
