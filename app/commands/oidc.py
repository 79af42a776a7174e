"""People who sign in at a provider: known by issuer and subject alone, with the roles it gives them now."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.commands import audit, names
from app.commands.passwords import digest
from app.commands.sessions import end_sessions, open_session
from app.domain.roles import Actor, Role, SignedIn
from app.errors import Conflict, NotFound, NotSignedIn, Unprocessable
from app.oidc import Identity, Question
from app.records import ApiKey, OidcSignIn, RecoveryCode, User
from app.records.base import now

WAY_MINUTES = 10
"""How long somebody may take at the provider."""
_UNFIT = re.compile(r"[^a-z0-9._@-]+")
_LONGEST_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What the answer is held against, and where the person wanted to go."""

    nonce: str
    code_verifier: str
    next: str


def begin(session: Session, *, question: Question, browser: str, next: str) -> None:
    """The question is kept until the answer comes from this very browser; old ones are forgotten."""
    session.execute(delete(OidcSignIn).where(OidcSignIn.expires_at <= now()))
    session.add(
        OidcSignIn(
            state_sha256=digest(question.state),
            browser_sha256=digest(browser),
            nonce=question.nonce,
            code_verifier=question.code_verifier,
            next=next,
            expires_at=now() + timedelta(minutes=WAY_MINUTES),
        )
    )


def take(session: Session, *, state: str, browser: str | None) -> Begun:
    """What was begun, once. Raises NotSignedIn for a state that is unknown, used, too old or another
    browser's: somebody else's sign-in must not become this one's.
    """
    row = session.execute(
        delete(OidcSignIn)
        .where(OidcSignIn.state_sha256 == digest(state))
        .returning(
            OidcSignIn.browser_sha256,
            OidcSignIn.nonce,
            OidcSignIn.code_verifier,
            OidcSignIn.next,
            OidcSignIn.expires_at,
        )
    ).one_or_none()
    if (
        row is None
        or row.expires_at <= now()
        or not hmac.compare_digest(row.browser_sha256, digest(browser or ""))
    ):
        raise NotSignedIn("The sign-in took too long or was begun elsewhere. Begin again.")
    return Begun(nonce=row.nonce, code_verifier=row.code_verifier, next=row.next)


def sign_in(
    session: Session,
    *,
    identity: Identity,
    roles: Sequence[Role],
    address: str | None,
    lifetime: timedelta,
) -> SignedIn | None:
    """A session for who the provider says it is, with exactly these roles; a stranger becomes a new person.
    None without a role: the sessions of whoever had one have then ended, once this is committed.

    Nobody is found by a name or an e-mail address: the provider may give them to somebody else tomorrow.
    Raises NotSignedIn for a disabled person, Conflict where the name is somebody else's here.
    """
    user = _known(session, identity)
    if user is None and roles:
        try:
            user = _add(session, identity=identity, roles=roles, address=address)
        except Conflict:
            user = _known(session, identity)  # another first sign-in of theirs may have been quicker
            if user is None:
                raise
    if user is not None and user.disabled_at is not None:
        raise NotSignedIn("Your account here is disabled. Ask an administrator.")
    if user is not None:
        _set_roles(session, user, roles=roles, address=address)
    if user is None or not roles:
        return None
    return open_session(session, user=user, address=address, lifetime=lifetime, via="oidc")


def link(session: Session, *, user_id: UUID, issuer: str, subject: str, by: Actor) -> None:
    """The person is who the provider calls so, and signs in there alone: password and second factor of
    theirs are gone, and their sessions have ended.
    """
    user = session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    if user.oidc_subject is not None:
        raise Conflict(f"{user.username} signs in at the provider already.")
    if not subject.strip():
        raise Unprocessable("The subject is what the provider's tokens have as `sub`.")
    taken = select(User.username).where(User.oidc_issuer == issuer, User.oidc_subject == subject.strip())
    if (other := session.scalar(taken)) is not None:
        raise Conflict(f"That subject is {other} here.")
    if Role.ADMINISTRATOR.value in user.roles:
        raise Conflict(
            "An administrator with a password is the way in while the provider is silent; link others."
        )
    user.oidc_issuer, user.oidc_subject = issuer, subject.strip()
    user.password_hash, user.must_change_password = None, False
    user.totp_secret = user.totp_since = user.totp_last_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    end_sessions(session, user_id=user.id)
    audit.record(session, action="user.linked", by=by, subject_id=user.id, issuer=issuer)


def _known(session: Session, identity: Identity) -> User | None:
    return session.scalar(
        select(User)
        .where(User.oidc_issuer == identity.issuer, User.oidc_subject == identity.subject)
        .with_for_update()
    )


def _set_roles(session: Session, user: User, *, roles: Sequence[Role], address: str | None) -> None:
    """Whoever has other roles than yesterday has no session of yesterday."""
    given = sorted(role.value for role in roles)
    if given == sorted(user.roles):
        return
    user.roles = given
    end_sessions(session, user_id=user.id)
    audit.record(
        session, action="user.roles-set", by=_provider(address), subject_id=user.id, roles=given, via="oidc"
    )


def _add(session: Session, *, identity: Identity, roles: Sequence[Role], address: str | None) -> User:
    username = _UNFIT.sub("-", identity.username.strip().lower()).strip("-._@")[:_LONGEST_NAME]
    if not username:
        raise Conflict("The provider gives no user name for you. Ask an administrator.")
    names.take_turns(session)
    taken = session.scalar(select(User.id).where(User.username == username))
    if taken is None:
        taken = session.scalar(select(ApiKey.id).where(func.lower(ApiKey.name) == username))
    added = None
    if taken is None:
        added = session.scalar(
            insert(User)
            .values(
                username=username,
                display_name=identity.display_name.strip()[:200] or username,
                roles=sorted(role.value for role in roles),
                password_hash=None,
                created_by_name="oidc",
                oidc_issuer=identity.issuer,
                oidc_subject=identity.subject,
            )
            .on_conflict_do_nothing()
            .returning(User.id)
        )
    if added is None:
        raise Conflict(
            f"Somebody is called {username} here and signs in otherwise. An administrator can link the two."
        )
    user = session.get_one(User, added)
    audit.record(
        session,
        action="user.added",
        by=_provider(address),
        subject_id=user.id,
        username=username,
        roles=user.roles,
        via="oidc",
    )
    return user


def _provider(address: str | None) -> Actor:
    return Actor(kind="system", id=None, name="oidc", address=address)
