"""The second factor: codes count once, recovery codes count once, and nothing leads round it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyotp
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.commands import people, second_factor, sessions
from app.commands.passwords import WrongProof
from app.commands.sessions import Lockout
from app.domain.roles import SYSTEM, Actor, Caller, Role, SignedIn
from app.errors import Conflict, NotSignedIn
from app.records import AuditEvent, RecoveryCode, User
from app.records import Session as SessionRecord
from app.records.base import now
from tests.builders import PASSWORD, a_user

_DAY = timedelta(days=1)


def sign_in(session: Session, name: str = "grace") -> SignedIn:
    return sessions.sign_in(session, username=name, password=PASSWORD, address=None, lifetime=_DAY)


def finish(session: Session, waiting: SignedIn, code: str) -> SignedIn:
    return second_factor.finish_sign_in(session, token=waiting.token, code=code, address=None, lifetime=_DAY)


def caller(session: Session, signed: SignedIn) -> Caller | None:
    session.flush()
    session.expire_all()
    return sessions.caller_of_session(session, token=signed.token, address=None, idle=timedelta(hours=1))


def actor(session: Session, signed: SignedIn) -> Actor:
    found = caller(session, signed)
    assert found is not None
    return found.actor


def code_of(secret: str, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(now(), counter_offset=steps)


def wrong_code(secret: str) -> str:
    right = {code_of(secret, steps=steps) for steps in range(-2, 3)}
    return next(
        code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in right
    )


def enrol(session: Session, *roles: Role) -> tuple[str, list[str]]:
    """Grace has a second factor, confirmed with the code of the step before this one."""
    a_user(session, "grace", *(roles or (Role.RADIOLOGIST,)))
    by = actor(session, sign_in(session))
    secret = second_factor.begin(session, password=PASSWORD, by=by)
    codes, _ = second_factor.confirm(session, code=code_of(secret, steps=-1), by=by)
    return secret, codes


def deeds(session: Session) -> list[str]:
    session.flush()
    return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


def test_the_password_alone_opens_nothing_once_a_second_factor_is_in_force(session: Session) -> None:
    secret, _ = enrol(session)
    waiting = sign_in(session)
    assert waiting.awaits_second_factor
    assert caller(session, waiting) is None
    signed = finish(session, waiting, code_of(secret))
    assert caller(session, signed) is not None
    assert signed.token != waiting.token
    with pytest.raises(NotSignedIn, match="too long"):  # what waited has ended
        finish(session, waiting, code_of(secret, steps=1))
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.signed-in")).all()[-1]
    assert event.details == {"via": "password", "second_factor": "app"}


def test_a_code_counts_once_and_so_does_every_earlier_one(session: Session) -> None:
    secret, _ = enrol(session)
    used = code_of(secret)
    finish(session, sign_in(session), used)
    for replayed in (used, code_of(secret, steps=-1)):
        with pytest.raises(NotSignedIn, match="used before"):
            finish(session, sign_in(session), replayed)
    assert finish(session, sign_in(session), code_of(secret, steps=1))


@pytest.mark.parametrize("code", ["", "abc", "１２３４５６", "123", "0" * 400, "-00001", "2 3"])
def test_what_is_no_code_is_a_wrong_one(session: Session, code: str) -> None:
    enrol(session)
    with pytest.raises(NotSignedIn):
        finish(session, sign_in(session), code)


def test_a_code_of_long_before_or_after_is_wrong(session: Session) -> None:
    secret, _ = enrol(session)
    for steps in (-3, 3):
        with pytest.raises(NotSignedIn):
            finish(session, sign_in(session), code_of(secret, steps=steps))


def test_a_recovery_code_stands_once_however_it_is_typed_and_only_its_hash_is_kept(session: Session) -> None:
    _, codes = enrol(session)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    stored = set(session.scalars(select(RecoveryCode.code_sha256)))
    assert len(stored) == len(codes)
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)
    assert finish(session, sign_in(session), f" {codes[3].lower().replace('-', ' ')} ")
    with pytest.raises(NotSignedIn):
        finish(session, sign_in(session), codes[3])
    assert finish(session, sign_in(session), codes[4])


def test_new_recovery_codes_end_the_old_ones(session: Session) -> None:
    secret, codes = enrol(session)
    signed = finish(session, sign_in(session), code_of(secret))
    fresh = second_factor.renew_recovery_codes(
        session, code=code_of(secret, steps=1), by=actor(session, signed)
    )
    with pytest.raises(NotSignedIn):
        finish(session, sign_in(session), codes[0])
    assert finish(session, sign_in(session), fresh[0])


def test_a_right_password_ends_no_lockout_of_somebody_who_guesses_codes(session: Session) -> None:
    secret, codes = enrol(session)
    lockout = Lockout(attempts=4, lasting=timedelta(hours=1))
    for _ in range(4):
        with pytest.raises(NotSignedIn):
            finish(session, sign_in(session), wrong_code(secret))  # each with the right password before it
        sessions.count_wrong(session, username="grace", address="10.0.0.9", lockout=lockout)
    session.expire_all()
    with pytest.raises(NotSignedIn):
        sign_in(session)
    assert deeds(session)[-1] == "user.locked-out"
    # one who gave the password before the lock gets no further either
    user = session.scalars(select(User).where(User.username == "grace")).one()
    user.locked_until = None
    waiting = sign_in(session)
    user.locked_until = now() + _DAY
    for code in (code_of(secret), codes[0]):
        with pytest.raises(NotSignedIn):
            finish(session, waiting, code)


def test_the_question_for_the_code_ends_after_minutes(session: Session) -> None:
    secret, _ = enrol(session)
    waiting = sign_in(session)
    [row] = session.scalars(select(SessionRecord).where(SessionRecord.awaits_second_factor))
    assert timedelta(minutes=4) < row.expires_at - now() <= timedelta(minutes=5)
    row.expires_at = now()
    session.flush()
    with pytest.raises(NotSignedIn, match="too long"):
        finish(session, waiting, code_of(secret))


def test_a_session_is_no_way_to_the_question_for_a_code(session: Session) -> None:
    """Only what a right password opened waits for a code; a stolen session does not become another one."""
    secret, _ = enrol(session)
    signed = finish(session, sign_in(session), code_of(secret))
    with pytest.raises(NotSignedIn):
        finish(session, signed, code_of(secret, steps=1))


def test_setting_it_up_asks_for_password_and_code_ends_other_sessions_and_renews_this_one(
    session: Session,
) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    own, other = sign_in(session), sign_in(session)
    by = actor(session, own)
    with pytest.raises(WrongProof):
        second_factor.begin(session, password="not hers", by=by)
    secret = second_factor.begin(session, password=PASSWORD, by=by)
    with pytest.raises(WrongProof):
        second_factor.confirm(session, code=wrong_code(secret), by=by)
    assert not sign_in(session).awaits_second_factor  # not in force before a code was seen
    _, rotated = second_factor.confirm(session, code=code_of(secret), by=by)
    assert caller(session, own) is None
    assert caller(session, other) is None
    renewed = sessions.caller_of_session(session, token=rotated.token, address=None, idle=timedelta(hours=1))
    assert renewed is not None and renewed.csrf_token == rotated.csrf_token
    with pytest.raises(Conflict):
        second_factor.begin(session, password=PASSWORD, by=by)
    assert deeds(session)[-1] == "user.second-factor-set"


def test_a_role_can_need_one_and_then_it_cannot_be_removed(session: Session) -> None:
    a_user(session, "ada", Role.ADMINISTRATOR)
    signed = sign_in(session, "ada")
    before = caller(session, signed)
    assert before is not None and not before.must_enrol
    second_factor.require_of(session, roles=[Role.ADMINISTRATOR, Role.AUDITOR], by=SYSTEM)
    after = caller(session, signed)
    assert after is not None and after.must_enrol
    secret, _ = enrol(session, Role.AUDITOR)
    grace = finish(session, sign_in(session), code_of(secret))
    found = caller(session, grace)
    assert found is not None and not found.must_enrol
    with pytest.raises(Conflict, match="role"):
        second_factor.remove(session, code=code_of(secret, steps=1), by=found.actor)
    assert "site.second-factor-required" in deeds(session)


def test_removing_it_asks_for_a_code(session: Session) -> None:
    secret, _ = enrol(session)
    by = actor(session, finish(session, sign_in(session), code_of(secret)))
    with pytest.raises(WrongProof):
        second_factor.remove(session, code=code_of(secret), by=by)  # used at the sign-in
    second_factor.remove(session, code=code_of(secret, steps=1), by=by)
    assert not sign_in(session).awaits_second_factor
    assert deeds(session)[-2] == "user.second-factor-removed"


def test_an_administrators_reset_is_on_record_and_ends_sessions(session: Session) -> None:
    secret, _codes = enrol(session)
    signed = finish(session, sign_in(session), code_of(secret))
    ada = a_user(session, "ada", Role.ADMINISTRATOR)
    grace = session.scalars(select(User).where(User.username == "grace")).one()
    second_factor.reset(session, user_id=grace.id, by=ada)
    event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert event is not None
    assert (event.action, event.actor_name, event.subject_id) == (
        "user.second-factor-reset",
        "ada",
        str(grace.id),
    )
    assert caller(session, signed) is None
    assert not sign_in(session).awaits_second_factor
    assert session.scalars(select(RecoveryCode)).all() == []
    with pytest.raises(Conflict):
        second_factor.reset(session, user_id=grace.id, by=ada)


def test_many_wrong_answers_lock_the_account_for_a_while_and_nobody_is_told_more(session: Session) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    lockout = Lockout(attempts=3, lasting=timedelta(hours=1))

    def refusal(password: str) -> str:
        with pytest.raises(NotSignedIn) as refused:
            sessions.sign_in(session, username="grace", password=password, address=None, lifetime=_DAY)
        return refused.value.detail

    wrong = refusal("wrong")
    for _ in range(3):
        sessions.count_wrong(session, username=" Grace", address="10.0.0.9", lockout=lockout)
    session.expire_all()
    assert refusal(PASSWORD) == wrong  # a guess that is right is not confirmed
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.locked-out")).one()
    assert (event.address, event.subject_id, event.details["attempts"]) == ("10.0.0.9", str(grace.id), 3)
    assert grace.id is not None
    people.unlock(session, user_id=grace.id, by=SYSTEM)
    assert sign_in(session)
    with pytest.raises(Conflict, match="not locked"):
        people.unlock(session, user_id=grace.id, by=SYSTEM)


def test_a_sign_in_forgets_the_wrong_answers_of_before_and_time_ends_the_lock(session: Session) -> None:
    a_user(session, "grace", Role.RADIOLOGIST)
    lockout = Lockout(attempts=3, lasting=timedelta(hours=1))
    for _ in range(4):
        for _ in range(2):
            sessions.count_wrong(session, username="grace", address=None, lockout=lockout)
        session.expire_all()
        assert sign_in(session)
        session.flush()
    for _ in range(3):
        sessions.count_wrong(session, username="grace", address=None, lockout=lockout)
    session.expire_all()
    user: Any = session.scalars(select(User)).one()
    assert timedelta(minutes=59) < user.locked_until - now() <= timedelta(hours=1)
    user.locked_until = now()
    assert sign_in(session)


def test_a_new_password_from_an_administrator_unlocks(session: Session) -> None:
    grace = a_user(session, "grace", Role.RADIOLOGIST)
    assert grace.id is not None
    sessions.count_wrong(session, username="grace", address=None, lockout=Lockout(attempts=1, lasting=_DAY))
    session.expire_all()
    one_time = people.reset_password(session, user_id=grace.id, by=SYSTEM)
    assert sessions.sign_in(session, username="grace", password=one_time, address=None, lifetime=_DAY)


def test_nobody_is_locked_out_by_a_name_nobody_has(session: Session) -> None:
    sessions.count_wrong(session, username="nobody", address=None, lockout=Lockout(attempts=1, lasting=_DAY))
    assert deeds(session) == []
