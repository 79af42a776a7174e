"""Signing in at a provider, over real HTTP on loopback, and every answer that must not be believed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from limits import RateLimitItemPerMinute
from pydantic import ValidationError
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.commands import oidc, people
from app.domain.roles import SYSTEM, Role, SignedIn
from app.errors import Conflict, Unavailable
from app.oidc import Identity, Provider, Question
from app.records import AuditEvent, OidcSignIn, User
from app.records import Session as SessionRecord
from app.records.base import now
from app.records.engine import transaction
from app.settings import Settings, settings
from app.web.main import create_app
from tests.builders import PASSWORD, a_user
from tests.provider import CLIENT, SECRET, SmallProvider, small_provider

START, BACK = "/sign-in/provider", "/sign-in/provider/back"


@pytest.fixture
def provider(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallProvider]:
    """The provider, and the settings that name it; the client's secret lies in a file."""
    with small_provider() as provider:
        provider.claims["groups"] = ["radiology"]
        (home / "secret").write_text(f"{SECRET}\n")
        for name, value in (
            ("PUBLIC_URL", "http://firstread.test"),
            ("OIDC_ISSUER", provider.issuer),
            ("OIDC_CLIENT_ID", CLIENT),
            ("OIDC_CLIENT_SECRET_FILE", str(home / "secret")),
        ):
            monkeypatch.setenv(f"FIRSTREAD_{name}", value)
        monkeypatch.setenv("FIRSTREAD_OIDC_ROLE_MAP", "radiology=radiologist,radiology=auditor,it=operator")
        settings.cache_clear()
        yield provider


@pytest.fixture
def browser(provider: SmallProvider, database: str, broker: str) -> Iterator[TestClient]:
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        yield client


def led_back(browser: TestClient, *, next: str = "/upload") -> str:
    """The path the provider leads the browser back to."""
    begun = browser.get(START, params={"next": next}, follow_redirects=False)
    assert begun.status_code == 303, begun.text
    back = httpx.get(begun.headers["location"], follow_redirects=False).headers["location"]
    return back.removeprefix("http://firstread.test")


def sign_in(browser: TestClient) -> httpx.Response:
    return browser.get(led_back(browser), follow_redirects=False)


def is_in(browser: TestClient) -> bool:
    return browser.get("/api/v1/worklist").status_code == 200


def users() -> list[User]:
    with transaction() as session:
        return list(session.scalars(select(User).order_by(User.created_at)))


def test_a_stranger_with_a_known_group_becomes_a_person_with_its_roles(
    browser: TestClient, provider: SmallProvider
) -> None:
    assert 'href="/sign-in/provider?next=/upload"' in browser.get("/sign-in?next=/upload").text
    came = sign_in(browser)
    assert (came.status_code, came.headers["location"]) == (303, "/upload")
    assert is_in(browser)
    [user] = users()
    assert (user.username, user.roles, user.password_hash) == ("grace", ["auditor", "radiologist"], None)
    assert (user.oidc_issuer, user.oidc_subject) == (provider.issuer, "4711")
    [asked], [given] = provider.asked, provider.exchanged
    assert len(given["code_verifier"]) >= 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"], given["code_verifier"]}) == 4
    with transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "user.signed-in")).one()
        assert event.details == {"via": "oidc"}
    # no local door opens for them
    form = {"username": "grace", "password": ""}
    assert browser.post("/sign-in", data=form, follow_redirects=False).status_code == 401


def test_the_same_subject_is_the_same_person_whatever_name_and_address_the_token_has(
    browser: TestClient, provider: SmallProvider
) -> None:
    sign_in(browser)
    provider.claims |= {"preferred_username": "someone.else", "email": "grace@hospital.example"}
    assert sign_in(browser).status_code == 303
    assert [user.username for user in users()] == ["grace"]


def test_a_name_or_e_mail_address_of_somebody_here_opens_nothing(
    browser: TestClient, provider: SmallProvider
) -> None:
    with transaction() as session:
        a_user(session, "grace", Role.ADMINISTRATOR)
        a_user(session, "grace@hospital.example", Role.ADMINISTRATOR)
    provider.claims |= {"email": "grace@hospital.example", "email_verified": True}
    refused = sign_in(browser)
    assert refused.status_code == 409
    assert "Somebody is called grace here" in refused.text
    assert not is_in(browser)
    assert len(users()) == 2


def test_roles_are_those_of_the_last_sign_in_and_other_sessions_end_when_they_change(
    browser: TestClient, provider: SmallProvider
) -> None:
    sign_in(browser)
    elsewhere = browser.cookies["firstread_session"]
    provider.claims["groups"] = ["it", "canteen"]
    assert sign_in(browser).status_code == 303
    assert users()[0].roles == ["operator"]
    browser.cookies.clear()
    browser.cookies.set("firstread_session", elsewhere)
    assert not is_in(browser)


@pytest.mark.parametrize("groups", [[], ["canteen"], None, "canteen", [["radiology"]], {"radiology": 1}])
def test_without_a_group_that_gives_a_role_nobody_comes_in_and_sessions_of_before_end(
    browser: TestClient, provider: SmallProvider, groups: Any
) -> None:
    sign_in(browser)
    session_of_before = browser.cookies["firstread_session"]
    provider.claims["groups"] = groups
    refused = sign_in(browser)
    assert refused.status_code == 403
    assert "None of your groups" in refused.text
    browser.cookies.clear()
    browser.cookies.set("firstread_session", session_of_before)
    assert not is_in(browser)


def _came(identity: Identity) -> SignedIn | None:
    with transaction() as session:
        return oidc.sign_in(
            session, identity=identity, roles=[Role.RADIOLOGIST], address=None, lifetime=timedelta(hours=1)
        )


_GRACE = Identity(issuer="https://login", subject="4711", username="grace", display_name="", groups=())


def test_two_first_sign_ins_of_one_person_at_once_make_one_person(database: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        with transaction() as session:
            first = oidc.sign_in(
                session, identity=_GRACE, roles=[Role.RADIOLOGIST], address=None, lifetime=timedelta(hours=1)
            )
            session.flush()
            second = thread.submit(_came, _GRACE)
            deadline = time.monotonic() + 30
            while not session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        came = second.result(timeout=30)
    assert first is not None and came is not None
    assert first.user_id == came.user_id
    assert len(users()) == 1


def test_who_became_a_person_while_their_name_was_looked_up_comes_in(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, quicker = oidc._known, []

    def known_a_moment_later(session: Session, identity: Identity) -> User | None:
        found = known(session, identity)
        if not quicker:
            quicker.append(None)
            quicker.append(_came(identity))
        return found

    monkeypatch.setattr(oidc, "_known", known_a_moment_later)
    assert _came(_GRACE) is not None
    assert len(users()) == 1


def test_an_address_that_begins_too_many_ways_to_the_provider_is_told_when_to_come_back(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.throttle.TO_PROVIDER", RateLimitItemPerMinute(3, 15, namespace="few"))
    answers = [browser.get(START, follow_redirects=False) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
    assert int(answers[3].headers["retry-after"]) > 0
    with transaction() as session:
        assert len(session.scalars(select(OidcSignIn)).all()) == 3


def test_groups_may_lie_deep_in_the_token(
    browser: TestClient, provider: SmallProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        browser.app.state.parts.provider._configuration, "oidc_roles_claim", "realm_access.roles"
    )  # type: ignore[attr-defined]
    provider.claims |= {"groups": [], "realm_access": {"roles": ["it"]}}
    assert sign_in(browser).status_code == 303
    assert users()[0].roles == ["operator"]


def test_a_disabled_person_stays_out(browser: TestClient, provider: SmallProvider) -> None:
    sign_in(browser)
    [user] = users()
    with transaction() as session:
        people.disable_user(session, user_id=user.id, by=SYSTEM)
    refused = sign_in(browser)
    assert refused.status_code == 401
    assert "disabled" in refused.text
    assert not is_in(browser)
    with transaction() as session:
        assert people.enable_user(session, user_id=user.id, by=SYSTEM) is None
        with pytest.raises(Conflict, match="at the provider"):
            people.reset_password(session, user_id=user.id, by=SYSTEM)
    assert sign_in(browser).status_code == 303


_FORGED: dict[str, Callable[[SmallProvider], Any]] = {
    "another issuer": lambda p: p.overrides.update(iss="https://evil.example"),
    "another audience": lambda p: p.overrides.update(aud="another-client"),
    "several audiences and none asked": lambda p: p.overrides.update(aud=[CLIENT, "b"], azp="b"),
    "expired": lambda p: p.overrides.update(exp=1_000_000_000),
    "from the future": lambda p: p.overrides.update(iat=4_000_000_000),
    "another nonce": lambda p: p.overrides.update(nonce="of another sign-in"),
    "no nonce": lambda p: p.overrides.update(nonce=None),
    "no subject": lambda p: p.overrides.update(sub=None),
    "no expiry": lambda p: p.overrides.update(exp=None),
    "another key": lambda p: setattr(p, "published", RSAKey.generate_key(2048, {"kid": "one"})),
    "signed with the secret": lambda p: setattr(p, "symmetric", True),
    "unsigned": lambda p: setattr(p, "unsigned", True),
}


@pytest.mark.parametrize("forge", _FORGED.values(), ids=_FORGED.keys())
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(
    browser: TestClient, provider: SmallProvider, forge: Callable[[SmallProvider], Any]
) -> None:
    back = led_back(browser)
    forge(provider)
    refused = browser.get(back, follow_redirects=False)
    assert refused.status_code == 401
    assert not is_in(browser)
    assert users() == []
    assert provider.exchanged != []


def test_a_key_that_the_provider_has_changed_is_fetched_anew(
    browser: TestClient, provider: SmallProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(browser)
    provider.key = RSAKey.generate_key(2048, {"kid": "two"})
    monkeypatch.setattr("app.oidc._ASKED_ANEW_SECONDS", 0.0)
    assert sign_in(browser).status_code == 303
    assert provider.visited.count("/keys") == 2


def test_an_answer_counts_once_in_the_browser_that_asked_and_in_time(
    browser: TestClient, provider: SmallProvider
) -> None:
    back = led_back(browser)
    browser.cookies.clear()  # the victim of a sign-in that somebody else began
    assert browser.get(back, follow_redirects=False).status_code == 401
    assert not is_in(browser)

    back = led_back(browser)
    with transaction() as session:
        session.execute(update(OidcSignIn).values(expires_at=now() - timedelta(seconds=1)))
    assert browser.get(back, follow_redirects=False).status_code == 401
    assert provider.exchanged == []

    back = led_back(browser)
    assert browser.get(back, follow_redirects=False).status_code == 303
    assert browser.get(back, follow_redirects=False).status_code == 401


@pytest.mark.parametrize(
    "query",
    ["", "?state=guess&code=x", "?error=access_denied", "?state=%F0%9F&code=", "?state=" + "x" * 9000],
)
def test_an_answer_nobody_asked_for_opens_nothing(browser: TestClient, query: str) -> None:
    assert browser.get(BACK + query, follow_redirects=False).status_code == 401


def test_a_code_of_another_sign_in_is_of_no_use_without_its_verifier(
    browser: TestClient, provider: SmallProvider
) -> None:
    stolen = led_back(browser).partition("code=")[2].partition("&")[0]
    own = led_back(browser)
    mine = own.partition("code=")[2].partition("&")[0]
    assert browser.get(own.replace(mine, stolen), follow_redirects=False).status_code == 401
    assert not is_in(browser)


def test_a_description_of_another_issuer_or_without_tls_is_not_followed(
    browser: TestClient, provider: SmallProvider
) -> None:
    provider.description = {"issuer": "https://evil.example"}
    assert browser.get(START, follow_redirects=False).status_code == 401
    provider.description = {"token_endpoint": "file:///etc/passwd"}
    assert browser.get(START, follow_redirects=False).status_code == 401
    provider.description = {}
    assert browser.get(START, follow_redirects=False).status_code == 303


def test_while_the_provider_is_silent_administrators_sign_in_with_a_password(
    browser: TestClient, provider: SmallProvider
) -> None:
    provider.broken = True
    assert browser.get(START, follow_redirects=False).status_code == 503
    with transaction() as session:
        a_user(session, "ada", Role.ADMINISTRATOR)
    form = {"username": "ada", "password": PASSWORD}
    assert browser.post("/sign-in", data=form, follow_redirects=False).status_code == 303


def test_who_waits_for_the_provider_keeps_nobody_else_waiting(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def silent(*_: object, **__: object) -> Question:
        answers.wait(60)
        raise Unavailable("silent")

    monkeypatch.setattr(Provider, "ask", silent)
    waiting = browser.app.state.parts.at_provider  # type: ignore[attr-defined]
    with ThreadPoolExecutor(51) as threads:
        asked = [threads.submit(browser.get, START) for _ in range(50)]
        try:
            deadline = time.monotonic() + 30
            while waiting.statistics().tasks_waiting < 50 - waiting.total_tokens:
                assert time.monotonic() < deadline, "the threads of all requests are taken"
                time.sleep(0.02)
            assert threads.submit(browser.get, "/sign-in").result(timeout=30).status_code == 200
        finally:
            answers.set()
        assert {each.result(timeout=30).status_code for each in asked} == {503}


def test_a_silent_provider_is_left_alone_for_a_while(
    provider: SmallProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.oidc._SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("FIRSTREAD_OIDC_ISSUER", f"http://127.0.0.1:{server.getsockname()[1]}")
        silent = Provider(Settings())
        for _ in range(3):
            with pytest.raises(Unavailable):
                silent.ask(redirect_uri="http://firstread.test")
        server.settimeout(5)
        server.accept()[0].close()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
        silent._spared_until = 0.0
        with pytest.raises(Unavailable):
            silent.ask(redirect_uri="http://firstread.test")
        server.accept()[0].close()


def test_a_description_of_before_serves_while_the_provider_is_silent_and_keys_of_before_do_not(
    browser: TestClient, provider: SmallProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sign_in(browser).status_code == 303
    monkeypatch.setattr("app.oidc._KNOWN_SECONDS", -1.0)
    provider.broken = True  # its token endpoint answers all the same
    assert browser.get(START, follow_redirects=False).status_code == 303
    browser.cookies.clear()
    provider.broken = False
    back = led_back(browser)
    provider.broken = True
    assert browser.get(back, follow_redirects=False).status_code == 503
    assert not is_in(browser)


def test_local_passwords_can_be_left_to_administrators(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_LOCAL_SIGN_IN", "administrators")
    settings.cache_clear()
    with transaction() as session:
        a_user(session, "ada", Role.ADMINISTRATOR)
        a_user(session, "bob", Role.RADIOLOGIST)
    right, wrong = (
        browser.post("/sign-in", data={"username": "bob", "password": password}, follow_redirects=False)
        for password in (PASSWORD, "a guess of it")
    )
    assert (right.status_code, right.text) == (401, wrong.text)  # a guess that is right is not confirmed
    form = {"username": "ada", "password": PASSWORD}
    assert browser.post("/sign-in", data=form, follow_redirects=False).status_code == 303


def test_signing_out_leads_on_to_the_provider_by_a_page_of_ours(
    browser: TestClient, provider: SmallProvider
) -> None:
    sign_in(browser)
    with transaction() as session:
        token = session.scalars(select(SessionRecord.csrf_token)).one()
    out = browser.post("/sign-out", headers={"X-CSRF-Token": token}, follow_redirects=False)
    assert (out.status_code, out.headers["location"]) == (303, "/signed-out")
    page = browser.get("/signed-out")
    assert page.headers["refresh"].startswith(f"0; url={provider.issuer}/end?client_id={CLIENT}&")
    assert "post_logout_redirect_uri=http%3A%2F%2Ffirstread.test%2Fsign-in" in page.headers["refresh"]
    assert not is_in(browser)


def test_an_administrator_links_a_person_who_then_signs_in_nowhere_else(
    browser: TestClient, provider: SmallProvider
) -> None:
    with transaction() as session:
        grace = a_user(session, "grace", Role.RADIOLOGIST)
        ada = a_user(session, "ada", Role.ADMINISTRATOR)
    assert grace.id is not None and ada.id is not None
    with transaction() as session:
        oidc.link(session, user_id=grace.id, issuer=provider.issuer, subject="4711", by=SYSTEM)
    with transaction() as session, pytest.raises(Conflict, match="way in"):
        oidc.link(session, user_id=ada.id, issuer=provider.issuer, subject="4712", by=SYSTEM)
    assert sign_in(browser).status_code == 303
    assert [user.username for user in users()] == ["grace", "ada"]
    browser.cookies.clear()
    form = {"username": "grace", "password": PASSWORD}
    assert browser.post("/sign-in", data=form, follow_redirects=False).status_code == 401


def test_without_a_provider_there_is_no_such_door_and_nobody_is_asked(client: TestClient) -> None:
    for path in (START, BACK):
        assert client.get(path, follow_redirects=False).status_code == 404
    assert "/sign-in/provider" not in client.get("/sign-in").text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_CLIENT_ID", None),
        ("PUBLIC_URL", None),
        ("OIDC_ROLE_MAP", None),
        ("OIDC_ROLE_MAP", "radiology=king"),
        ("OIDC_ROLE_MAP", "radiologist"),
        ("OIDC_CLIENT_SECRET", "twice"),
    ],
)
def test_half_a_provider_is_refused_at_the_start(
    provider: SmallProvider, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(f"FIRSTREAD_{name}")
    else:
        monkeypatch.setenv(f"FIRSTREAD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
