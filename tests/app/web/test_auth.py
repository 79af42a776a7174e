"""Keys, sessions, sign-in, and what protects them."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.commands import keys, passwords, people, sessions
from app.domain.roles import SYSTEM, Role, Scope
from app.errors import Unprocessable
from app.records import ApiKey, AuditEvent, User
from app.records import Session as SessionRecord
from app.records.base import now
from app.records.engine import transaction
from app.settings import settings
from app.web.sign_in import safe_next
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import PASSWORD, a_user

WORKLIST = "/api/v1/worklist"


def attempt(client: TestClient, username: str, password: str) -> int:
    answer = client.post(
        "/sign-in", data={"username": username, "password": password}, follow_redirects=False
    )
    return answer.status_code


def test_a_nul_in_a_form_is_the_callers_mistake(client: TestClient) -> None:
    assert attempt(client, "ad\0min", PASSWORD) == 400


def test_a_key_may_come_as_bearer_or_as_the_password_of_basic(client: TestClient, key: KeyMaker) -> None:
    bearer = key(Scope.READ)
    assert client.get(WORKLIST, headers=bearer).status_code == 200
    secret = bearer["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"orthanc:{secret}".encode()).decode()
    assert client.get(WORKLIST, headers={"Authorization": f"Basic {basic}"}).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer fr_wrong",
        "Basic",
        "Basic !!!",
        "Basic YWJj",
        "Basic /w==",
        "Digest abc",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer " + "x" * 10_000,
    ],
)
def test_a_key_that_is_none_is_refused_in_words(client: TestClient, authorization: str) -> None:
    answer = client.get(WORKLIST, headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/not-signed-in"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_key_is_not_rescued_by_a_session(sign_in: SignIn) -> None:
    client = sign_in(Role.RADIOLOGIST)
    assert client.get(WORKLIST).status_code == 200
    assert client.get(WORKLIST, headers={"Authorization": "Bearer fr_wrong"}).status_code == 401


def test_a_revoked_or_expired_key_opens_nothing(client: TestClient, key: KeyMaker) -> None:
    headers = key(Scope.READ)
    with transaction() as session:
        [stored] = session.scalars(select(ApiKey)).all()
        keys.revoke_key(session, key_id=stored.id, by=SYSTEM)
        secret = keys.add_key(
            session, name="short", scopes=[Scope.READ], by=SYSTEM, lifetime=timedelta(seconds=-1)
        )
    assert client.get(WORKLIST, headers=headers).status_code == 401
    assert client.get(WORKLIST, headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_the_session_cookie_cannot_be_read_by_scripts_nor_sent_from_elsewhere(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
    form = {"username": "alice", "password": PASSWORD}
    plain = client.post("/sign-in", data=form, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in plain and "SameSite=lax" in plain and "Secure" not in plain
    monkeypatch.setenv("FIRSTREAD_INSECURE_COOKIES", "false")
    settings.cache_clear()
    answer = client.post("/sign-in", data=form, follow_redirects=False)
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


def test_a_session_ends_when_it_is_idle_too_old_signed_out_or_its_user_disabled(sign_in: SignIn) -> None:
    client = sign_in(Role.RADIOLOGIST)
    assert client.get(WORKLIST).status_code == 200
    with transaction() as session:
        session.execute(update(SessionRecord).values(last_seen_at=now() - timedelta(hours=2)))
    assert client.get(WORKLIST).status_code == 401

    client = sign_in(Role.RADIOLOGIST)
    with transaction() as session:
        session.execute(update(SessionRecord).values(expires_at=now()))
    assert client.get(WORKLIST).status_code == 401

    client = sign_in(Role.RADIOLOGIST)
    assert client.post("/sign-out", follow_redirects=False).status_code == 303
    assert client.get(WORKLIST).status_code == 401

    client = sign_in(Role.RADIOLOGIST)
    with transaction() as session:
        user = session.scalars(select(User).order_by(User.created_at.desc())).first()
        assert user is not None
        people.disable_user(session, user_id=user.id, by=SYSTEM)
    assert client.get(WORKLIST).status_code == 401


def test_a_token_that_was_made_up_is_no_session(client: TestClient) -> None:
    for token in (b"x", b"x" * 4000, b"a%00b", b"\xff", b'"', b""):
        headers = [(b"cookie", b"firstread_session=" + token)]
        assert client.get(WORKLIST, headers=headers).status_code == 401


def test_guessing_a_password_is_slowed_down_per_user_and_leaves_its_trail(
    client: TestClient, session: Session
) -> None:
    with transaction() as before:
        a_user(before, "alice", Role.RADIOLOGIST)
        a_user(before, "bob", Role.RADIOLOGIST)
    statuses = [attempt(client, "alice", f"wrong {number}") for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert attempt(client, "alice", PASSWORD) == 429
    assert attempt(client, "bob", PASSWORD) == 303
    answer = client.post(
        "/sign-in", data={"username": "alice", "password": "x"}, headers={"Accept": "application/json"}
    )
    assert int(answer.headers["retry-after"]) > 0
    rows = session.scalars(select(AuditEvent).where(AuditEvent.action == "refused")).all()
    assert {row.details["reason"] for row in rows} == {"not-signed-in", "too-many-requests"}
    assert {row.details["username"] for row in rows} == {"alice"}


def test_trying_many_names_is_slowed_down_per_address(client: TestClient) -> None:
    statuses = [attempt(client, f"name{number}", "wrong") for number in range(52)]
    assert statuses[:50] == [401] * 50
    assert statuses[50:] == [429] * 2


def test_a_password_typed_into_the_name_field_is_not_written_down(
    client: TestClient, session: Session
) -> None:
    attempt(client, "my.secret.password", "x")
    row = session.scalars(select(AuditEvent).where(AuditEvent.action == "refused")).one()
    assert row.details["username"] == "(unknown)"


def test_a_right_password_forgets_the_wrong_ones(client: TestClient) -> None:
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
    for _ in range(3):
        assert [attempt(client, "alice", "wrong") for _ in range(8)] == [401] * 8
        assert attempt(client, "alice", PASSWORD) == 303


def test_a_person_without_session_is_led_to_the_sign_in_and_back(client: TestClient) -> None:
    answer = client.get("/people", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/people")
    partial = client.get("/people", headers={"HX-Request": "true"}, follow_redirects=False)
    assert partial.headers["hx-redirect"].startswith("/sign-in")


@pytest.mark.parametrize(
    "address", ["https://elsewhere", "//elsewhere", "/\\elsewhere", "javascript:x", "", None, "/a\nb"]
)
def test_signing_in_never_leads_to_another_site(address: str | None) -> None:
    assert safe_next(address) == "/"


def test_refusals_of_a_flood_share_rows(client: TestClient, key: KeyMaker) -> None:
    headers = key(Scope.READ)
    for _ in range(40):
        assert client.get("/metrics", headers=headers).status_code == 403
    query = select(AuditEvent).where(AuditEvent.action == "refused").order_by(AuditEvent.id)
    with transaction() as session:
        assert len(session.scalars(query).all()) == 10
    client.app.state.parts.refusals.flush()  # type: ignore[attr-defined]
    with transaction() as session:
        counts = [row.count for row in session.scalars(query)]
    assert sum(counts) == 40
    assert len(counts) == 11


@pytest.mark.parametrize(
    ("ranges", "address", "opens"),
    [
        (["10.20.0.0/16"], "10.20.255.1", True),
        (["10.20.0.0/16"], "10.21.0.1", False),
        (["10.20.0.0/16"], "::ffff:10.20.0.1", True),  # as a dual-stack listener sees it
        (["fd00:12::/64", "192.0.2.7"], "fd00:12::9", True),
        (["fd00:12::/64", "192.0.2.7"], "192.0.2.7", True),
        (["fd00:12::/64", "192.0.2.7"], "192.0.2.8", False),
        (["0.0.0.0/0"], "fd00:12::9", False),
        (["10.20.0.0/16"], "testclient", False),  # no address at all
    ],
)
def test_a_key_bound_to_addresses_opens_from_nowhere_else(
    client: TestClient, ranges: list[str], address: str, opens: bool
) -> None:
    with transaction() as session:
        secret = keys.add_key(session, name="pacs", scopes=[Scope.READ], by=SYSTEM, address_ranges=ranges)
    sender = TestClient(client.app, client=(address, 50000))
    headers = {"Authorization": f"Bearer {secret}", "X-Forwarded-For": "10.20.0.1", "X-Real-IP": "10.20.0.1"}
    answer = sender.get(WORKLIST, headers=headers)
    assert answer.status_code == (200 if opens else 401)
    if not opens:
        unknown = sender.get(WORKLIST, headers={"Authorization": "Bearer fr_wrong"})
        assert answer.json()["detail"] == unknown.json()["detail"]  # a thief is not told that it is right
        with transaction() as session:
            [first, _] = session.scalars(
                select(AuditEvent).where(AuditEvent.action == "refused").order_by(AuditEvent.id)
            )
            assert (first.details["key"], first.details["outside_its_ranges"]) == ("pacs", True)
            assert first.address == address


@pytest.mark.parametrize("ranges", [["10.20.0.1/16"], ["anywhere"], ["10.0.0.0/33"], ["10.0.0.1"] * 33])
def test_what_is_no_range_is_refused(session: Session, ranges: list[str]) -> None:
    with pytest.raises(Unprocessable):
        keys.add_key(session, name="pacs", scopes=[Scope.READ], by=SYSTEM, address_ranges=ranges)


def test_a_sign_in_ends_the_session_the_browser_had_and_takes_no_token_from_it(client: TestClient) -> None:
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
    client.cookies.set("firstread_session", "set by somebody else", domain="firstread.test")
    assert attempt(client, "alice", PASSWORD) == 303
    first = client.cookies["firstread_session"]
    assert first != "set by somebody else"
    assert attempt(client, "alice", PASSWORD) == 303
    second = client.cookies["firstread_session"]
    assert client.get(WORKLIST).status_code == 200
    client.cookies.clear()
    client.cookies.set("firstread_session", first)
    assert client.get(WORKLIST).status_code == 401
    assert second != first


def test_other_roles_end_the_sessions_of_before_and_ones_own_goes_on_under_a_new_token(
    sign_in: SignIn,
) -> None:
    client = sign_in(Role.ADMINISTRATOR)
    own = client.cookies["firstread_session"]
    with transaction() as session:
        [admin] = session.scalars(select(User)).all()
        bob = a_user(session, "bob", Role.RADIOLOGIST)
        assert bob.id is not None
        his = people_session(session, "bob")
    address = f"/people/users/{bob.id}/roles"
    same = client.post(address, data={"roles": ["radiologist"]}, follow_redirects=False)
    assert same.status_code == 303
    with_his = TestClient(client.app, cookies={"firstread_session": his})
    assert with_his.get(WORKLIST).status_code == 200  # nothing has changed
    client.post(address, data={"roles": ["radiologist", "auditor"]}, follow_redirects=False)
    assert with_his.get(WORKLIST).status_code == 401
    changed = client.post(
        f"/people/users/{admin.id}/roles",
        data={"roles": ["administrator", "auditor"]},
        follow_redirects=False,
    )
    assert changed.status_code == 303
    assert client.cookies["firstread_session"] != own
    assert client.get(WORKLIST).status_code == 200
    assert TestClient(client.app, cookies={"firstread_session": own}).get(WORKLIST).status_code == 401


def people_session(session: Session, name: str) -> str:
    return sessions.sign_in(
        session, username=name, password=PASSWORD, address=None, lifetime=timedelta(hours=1)
    ).token


def test_many_wrong_answers_lock_the_account_whatever_addresses_they_come_from(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_LOCKOUT_ATTEMPTS", "5")
    settings.cache_clear()
    with transaction() as session:
        alice = a_user(session, "alice", Role.RADIOLOGIST)
    assert [attempt(client, "alice", "wrong") for _ in range(5)] == [401] * 5
    assert attempt(client, "alice", PASSWORD) == 401
    with transaction() as session:
        actions = [event.action for event in session.scalars(select(AuditEvent).order_by(AuditEvent.id))]
        assert actions.count("user.locked-out") == 1
        assert alice.id is not None
        people.unlock(session, user_id=alice.id, by=SYSTEM)
    assert attempt(client, "alice", PASSWORD) == 303


def test_a_stolen_session_is_no_place_to_guess_the_password_from(sign_in: SignIn) -> None:
    client = sign_in(Role.RADIOLOGIST)
    form = {"current": "a guess", "new": "a new password", "again": "a new password"}
    statuses = [client.post("/password", data=form).status_code for _ in range(12)]
    assert statuses == [422] * 10 + [429] * 2


def test_a_crowd_at_the_door_takes_no_more_than_four_threads(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def slowly(_password: str, _known: str | None) -> tuple[bool, None]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.1)
        with lock:
            inside -= 1
        return False, None

    monkeypatch.setattr(passwords, "verify", slowly)

    def come(number: int) -> int:
        return client.post("/sign-in", data={"username": f"n{number}", "password": "x"}).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(come, range(12))) <= {401, 429}
    assert 2 <= most <= 4
