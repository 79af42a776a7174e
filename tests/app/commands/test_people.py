"""People and keys: no default password, nothing stored that opens a door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from argon2 import _password_hasher
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.commands import keys, oidc, passwords, people, sessions
from app.commands.sessions import Lockout
from app.domain.roles import SYSTEM, Actor, Caller, Permission, Role, Scope
from app.errors import Conflict, NotSignedIn, Unprocessable
from app.records import ApiKey, User
from app.records import Session as SessionRecord
from app.records.base import now
from app.records.engine import driver_of, transaction
from tests.builders import PASSWORD, a_key, a_user

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


def _sign_in(session: Session, name: str, password: str = PASSWORD) -> str:
    return sessions.sign_in(session, username=name, password=password, address=None, lifetime=_DAY).token


def _caller(session: Session, token: str) -> Caller | None:
    return sessions.caller_of_session(session, token=token, address=None, idle=_HOUR)


def test_the_first_administrator_gets_a_one_time_password_once(session: Session) -> None:
    password = people.create_first_administrator(session, password=None)
    assert password is not None
    assert people.create_first_administrator(session, password=None) is None
    signed_in = sessions.sign_in(session, username="admin", password=password, address=None, lifetime=_DAY)
    assert signed_in.must_change_password


def test_a_given_first_password_is_not_shown_and_need_not_change(session: Session) -> None:
    assert people.create_first_administrator(session, password="given by the site") is None
    signed_in = sessions.sign_in(
        session, username="Admin", password="given by the site", address=None, lifetime=_DAY
    )
    assert not signed_in.must_change_password


def _reset(session: Session, user_id: UUID) -> None:
    people.reset_password(session, user_id=user_id, by=SYSTEM)


def _link(session: Session, user_id: UUID) -> None:
    oidc.link(session, user_id=user_id, issuer="https://login.example", subject="4711", by=SYSTEM)


def _disable(session: Session, user_id: UUID) -> None:
    people.disable_user(session, user_id=user_id, by=SYSTEM)


def _lock(session: Session, user_id: UUID) -> None:
    lockout = Lockout(attempts=1, lasting=_DAY)
    sessions.count_wrong(session, username="grace", address=None, lockout=lockout)


def _enrol(session: Session, user_id: UUID) -> None:
    session.execute(update(User).where(User.id == user_id).values(totp_secret="A", totp_since=now()))


@pytest.mark.parametrize("change", [_reset, _link, _disable, _lock, _enrol])
def test_what_changes_while_a_password_is_compared_holds_for_that_sign_in(
    database: str, monkeypatch: pytest.MonkeyPatch, change: Callable[[Session, UUID], None]
) -> None:
    with transaction() as session:
        grace = a_user(session, "grace", Role.RADIOLOGIST)
    assert grace.id is not None
    compare, user_id = passwords.verify, grace.id

    def compare_slowly(password: str, known: str | None) -> tuple[bool, str | None]:
        right, _ = compare(password, known)
        with transaction() as meanwhile:
            change(meanwhile, user_id)
        return right, "a newer hash of the old password"

    monkeypatch.setattr(passwords, "verify", compare_slowly)
    if change is _enrol:
        with transaction() as session:
            signed = sessions.sign_in(
                session, username="grace", password=PASSWORD, address=None, lifetime=_DAY
            )
        assert signed.awaits_second_factor
        return
    with pytest.raises(NotSignedIn), transaction() as session:
        _sign_in(session, "grace")
    with transaction() as session:
        assert session.scalars(select(SessionRecord)).all() == []
        kept = session.scalars(select(User.password_hash)).one()
        assert kept != "a newer hash of the old password"


@pytest.mark.parametrize(("name", "password"), [("grace", "wrong"), ("nobody", PASSWORD), ("grace", "")])
def test_a_wrong_answer_never_says_which_part_was_wrong(session: Session, name: str, password: str) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    with pytest.raises(NotSignedIn, match="user name or the password"):
        _sign_in(session, name, password)


def test_every_sign_in_computes_one_hash_whether_the_name_is_known_or_not(
    session: Session, passwords_as_served: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    a_user(session, "root", Role.ADMINISTRATOR)
    a_user(session, "gone", Role.RADIOLOGIST)
    gone = session.scalars(select(User).where(User.username == "gone")).one()
    people.disable_user(session, user_id=gone.id, by=grace)
    computed: list[str] = []

    def count(name: str) -> None:
        whole = getattr(_password_hasher, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            computed.append(name)
            return whole(*arguments, **named)

        monkeypatch.setattr(_password_hasher, name, counted)

    count("hash_secret")
    count("verify_secret")
    for name, password in (("nobody", PASSWORD), ("grace", "wrong"), ("gone", PASSWORD), ("nobody", "x")):
        computed.clear()
        with pytest.raises(NotSignedIn):
            _sign_in(session, name, password)
        assert computed == ["verify_secret"], name
    computed.clear()
    _sign_in(session, "grace")
    assert computed == ["verify_secret"]


def test_the_hash_of_nobody_costs_what_a_new_hash_costs(passwords_as_served: None) -> None:
    cost = passwords.hashed("some password").split("$")[1:4]
    assert passwords._HASH_OF_NOBODY.split("$")[1:4] == cost
    assert passwords.verify("", None) == (False, None)


def test_a_session_ends_by_time_by_idleness_and_by_signing_out(session: Session) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    tokens = [_sign_in(session, "grace") for _ in range(3)]
    callers = [_caller(session, token) for token in tokens]
    assert all(caller and caller.actor.may(Permission.REVIEW) for caller in callers)
    ids = [caller.actor.session_id for caller in callers if caller]
    session.execute(update(SessionRecord).where(SessionRecord.id == ids[0]).values(expires_at=now()))
    session.execute(
        update(SessionRecord).where(SessionRecord.id == ids[1]).values(last_seen_at=now() - _HOUR)
    )
    assert callers[2] is not None
    sessions.sign_out(session, by=callers[2].actor)
    session.expire_all()
    assert [_caller(session, token) for token in tokens] == [None, None, None]


def test_a_disabled_user_is_out_at_once(session: Session) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    token = _sign_in(session, "grace")
    assert grace.id is not None
    people.disable_user(session, user_id=grace.id, by=SYSTEM)
    session.expire_all()
    assert _caller(session, token) is None
    with pytest.raises(NotSignedIn):
        _sign_in(session, "grace")


def test_the_last_administrator_stays(session: Session) -> None:
    people.create_first_administrator(session, password=PASSWORD)
    admin = session.scalars(select(User)).one()
    with pytest.raises(Conflict, match="last administrator"):
        people.disable_user(session, user_id=admin.id, by=SYSTEM)
    with pytest.raises(Conflict, match="last administrator"):
        people.set_roles(session, user_id=admin.id, roles=[Role.AUDITOR], by=SYSTEM)
    a_user(session, "second", Role.ADMINISTRATOR)
    people.disable_user(session, user_id=admin.id, by=SYSTEM)


def test_changing_the_password_ends_the_other_sessions(session: Session) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    other, own = _sign_in(session, "grace"), _sign_in(session, "grace")
    caller = _caller(session, own)
    assert caller is not None
    assert grace.id is not None
    rotated = people.change_password(
        session, user_id=grace.id, current=PASSWORD, new="quite another one", by=caller.actor
    )
    session.expire_all()
    assert rotated is not None
    assert _caller(session, rotated.token) is not None
    assert _caller(session, own) is None
    assert _caller(session, other) is None


@pytest.mark.parametrize("new", ["short", PASSWORD])
def test_a_poor_new_password_is_refused(session: Session, new: str) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    assert grace.id is not None
    with pytest.raises(Unprocessable):
        people.change_password(session, user_id=grace.id, current=PASSWORD, new=new, by=grace)


def _opener(session: Session, secret: str) -> Caller | None:
    session.flush()
    return keys.caller_of_key(driver_of(session), secret=secret, address="10.0.0.1")


def test_a_key_opens_what_its_scopes_say_until_it_is_revoked(session: Session) -> None:
    secret = a_key(session, "pacs", Scope.INTAKE)
    caller = _opener(session, secret)
    assert caller is not None
    assert caller.actor == Actor(
        kind="key",
        id=caller.actor.id,
        name="pacs",
        permissions=frozenset({Permission.ADMIT}),
        address="10.0.0.1",
    )
    key = session.scalars(select(ApiKey)).one()
    keys.revoke_key(session, key_id=key.id, by=SYSTEM)
    assert _opener(session, secret) is None


def test_an_expired_or_unknown_key_opens_nothing(session: Session) -> None:
    secret = keys.add_key(session, name="old", scopes=[Scope.READ], by=SYSTEM, lifetime=timedelta(seconds=-1))
    assert _opener(session, secret) is None
    assert _opener(session, "fr_unknown") is None


def test_no_secret_is_stored(session: Session) -> None:
    secret = a_key(session, "pacs", Scope.INTAKE)
    a_user(session, "grace", Role.RADIOLOGIST)
    token = _sign_in(session, "grace")
    session.flush()
    for table in ("api_keys", "users", "sessions", "audit_events"):
        stored = str(session.execute(text(f"SELECT t.*::text FROM {table} t")).all())
        assert all(word not in stored for word in (secret, PASSWORD, token)), table


@pytest.mark.parametrize("name", ["", "Ä", "a b", "x" * 65])
def test_a_user_name_is_simple(session: Session, name: str) -> None:
    with pytest.raises(Unprocessable):
        people.add_user(session, username=name, display_name="x", roles=[Role.AUDITOR], by=SYSTEM)


def test_names_are_taken_once(session: Session) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    with pytest.raises(Conflict):
        people.add_user(session, username="Grace", display_name="x", roles=[Role.AUDITOR], by=SYSTEM)
    a_key(session, "pacs", Scope.READ)
    with pytest.raises(Conflict):
        a_key(session, "pacs", Scope.READ)


def test_a_person_and_a_key_never_share_a_name_since_claims_show_names(session: Session) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    with pytest.raises(Conflict, match="person"):
        a_key(session, "Grace", Scope.REVIEW)
    a_key(session, "RIS", Scope.REVIEW)
    with pytest.raises(Conflict, match="key"):
        people.add_user(session, username="ris", display_name="x", roles=[Role.AUDITOR], by=SYSTEM)
