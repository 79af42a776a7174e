"""Signing in and out, and passwords, as forms."""

from __future__ import annotations

import re

import pyotp
import pytest
from starlette.testclient import TestClient

from app.commands import people
from app.domain.roles import SYSTEM, Role
from app.records.engine import transaction
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get, post, words
from tests.builders import PASSWORD, a_user


def test_a_stranger_is_led_to_the_sign_in_and_back(client: TestClient) -> None:
    with transaction() as session:
        a_user(session, "alice", Role.RADIOLOGIST)
    led = client.get("/upload", headers=ACCEPT, follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/sign-in?next=/upload")
    assert 'name="next" value="/upload"' in get(client, "/sign-in?next=/upload")
    came = client.post(
        "/sign-in",
        data={"username": "alice", "password": PASSWORD, "next": "/upload"},
        follow_redirects=False,
    )
    assert came.headers["location"] == "/upload"


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    page = get(alice, "/account")
    post(alice, "/sign-out", page)
    alice.cookies.set("firstread_session", "a session that has ended")
    study = "/studies/00000000-0000-0000-0000-000000000000"
    for shown in (study, f"{study}/review"):  # the second was itself the answer to a form
        led = alice.post(
            f"{study}/review",
            data={"comment": "x"},
            headers=ACCEPT | {"Referer": f"http://firstread.test{shown}"},
            follow_redirects=False,
        )
        assert (led.status_code, led.headers["location"]) == (303, f"/sign-in?next={study}")
    assert "Your session has ended." in get(alice, f"/sign-in?next={study}")
    assert "Your session has ended." not in get(alice, "/sign-in")


@pytest.mark.parametrize("referer", ["http://evil.example/upload", "nonsense", ""])
def test_only_a_page_of_ours_is_led_back_to(client: TestClient, referer: str) -> None:
    led = client.post("/sign-out", headers=ACCEPT | {"Referer": referer}, follow_redirects=False)
    assert led.headers["location"] == "/sign-in?next=/"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_sign_in_never_leads_to_another_site(client: TestClient, elsewhere: str) -> None:
    page = client.get("/sign-in", params={"next": elsewhere}).text
    assert 'name="next" value="/"' in page


def test_a_secret_is_shown_once_to_who_gave_the_password(browser: Browser) -> None:
    alice, path = browser("alice", Role.RADIOLOGIST), "/account/second-factor"
    refused = post(alice, f"{path}/begin", get(alice, path), password="not hers")
    assert refused.status_code == 422 and 'class="secret"' not in refused.text
    shown = post(alice, f"{path}/begin", get(alice, path), password=PASSWORD).text
    found = re.search(r'<p class="secret">([A-Z2-7 ]+)</p>', shown)
    assert found is not None and 'class="qr"' in shown
    app = pyotp.TOTP(found.group(1).replace(" ", ""))
    # whoever finds the session open afterwards learns nothing, also not by a wrong code
    missed = post(alice, f"{path}/confirm", shown, code="not one")
    assert missed.status_code == 422
    for page in (get(alice, path), missed.text):
        assert app.secret not in page.replace(" ", "") and 'class="qr"' not in page
        assert f'action="{path}/confirm"' in page
    assert 'class="secret"' in post(alice, f"{path}/confirm", missed.text, code=app.now()).text


def test_a_wrong_password_keeps_the_name_and_says_so(client: TestClient) -> None:
    answer = client.post("/sign-in", data={"username": "<b>bob", "password": "wrong"}, headers=ACCEPT)
    assert answer.status_code == 401
    assert "The user name or the password is not right." in answer.text
    assert "&lt;b&gt;bob" in answer.text
    assert "wrong" not in answer.text


def test_a_one_time_password_must_be_changed_before_anything_else(client: TestClient) -> None:
    with transaction() as session:
        one_time = people.add_user(
            session, username="bob", display_name="Bob", roles=[Role.RADIOLOGIST], by=SYSTEM
        )
    came = client.post("/sign-in", data={"username": "bob", "password": one_time}, follow_redirects=False)
    assert came.headers["location"] == "/password"
    led = client.get("/", headers=ACCEPT, follow_redirects=False)
    assert led.headers["location"] == "/password"
    page = get(client, "/password")
    assert "Worklist" not in words(page)
    refused = post(client, "/password", page, current=one_time, new="a new password", again="another one")
    assert refused.status_code == 422
    assert "not the same" in refused.text
    done = post(client, "/password", page, current=one_time, new="a new password", again="a new password")
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert "Nothing waits to be read." in get(client, "/")


def test_signing_out_ends_the_session(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    cookies = dict(alice.cookies)
    page = get(alice, "/account")
    assert "radiologist" in words(page)
    assert post(alice, "/sign-out", page).headers["location"] == "/sign-in"
    alice.cookies.update(cookies)  # a thief of the cookie
    assert alice.get("/account", headers=ACCEPT, follow_redirects=False).status_code == 303


def test_a_form_without_the_token_of_its_page_is_refused(browser: Browser) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    answer = alice.post("/sign-out", data={"csrf_token": "guessed"}, headers=ACCEPT, follow_redirects=False)
    assert answer.status_code == 403
    assert "out of date" in answer.text
