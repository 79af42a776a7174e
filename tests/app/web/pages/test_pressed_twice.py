"""Buttons pressed twice without scripts: the work is done once, and both answers show its secret."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pyotp
import pytest
from httpx import Response
from sqlalchemy import func, select
from starlette.requests import Request
from starlette.testclient import TestClient

from app.commands import registry, shadow
from app.domain.roles import SYSTEM, Role
from app.records import ApiKey, AuditEvent, DatasetFile, Destination, Job, SnapshotExport, User
from app.records.base import now
from app.records.engine import transaction
from app.web.auth import SESSION_COOKIE
from app.web.pages.forms import Form, press_of
from tests.app.commands.labelled import a_dataset, patients
from tests.app.commands.test_training import ENOUGH, a_snapshot
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import get, hidden, post, words
from tests.builders import PASSWORD

ANOTHER = "a password of one's own"


def pressed(browser: TestClient, address: str, page: str, **fields: Any) -> Response:
    """The form of that address, with what is hidden in it."""
    form = page[page.index(f'action="{address}"') :]
    return post(browser, address, page, once=hidden(form, "once"), **fields)


def secret_in(page: str) -> str:
    return re.search(r'class="secret">([^<]+)<', page).group(1)


def key_in(page: str) -> str:
    return re.search(r"KEY=(fr_[\w-]+)", page).group(1)


def deeds(session, action: str) -> int:
    session.expire_all()
    return session.scalar(select(func.count(AuditEvent.id)).where(AuditEvent.action == action))


def id_of(session, name: str) -> UUID:
    return session.scalars(select(User.id).where(User.username == name)).one()


def signed_in(client, name: str, password: str) -> TestClient:
    """Who came in with the password and has chosen another."""
    theirs = TestClient(client.app, base_url="http://firstread.test")
    came = theirs.post("/sign-in", data={"username": name, "password": password}, follow_redirects=False)
    assert came.headers["location"] == "/password", came.text
    page = get(theirs, "/password")
    assert post(theirs, "/password", page, current=password, new=ANOTHER, again=ANOTHER).status_code == 303
    return theirs


def test_a_key_that_may_send_is_made_once_and_shown_to_both_presses(
    browser: Browser, client, session
) -> None:
    root = browser("root", Role.ADMINISTRATOR, Role.RADIOLOGIST)
    page = get(root, "/")
    first, second = (pressed(root, "/worklist/key", page) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert key_in(first.text) == key_in(second.text)
    assert session.scalar(select(func.count(ApiKey.id))) == deeds(session, "key.added") == 1
    sent = client.post("/api/v1/studies", headers={"Authorization": f"Bearer {key_in(second.text)}"})
    assert sent.status_code == 415, "let in, with nothing sent"


def test_a_press_is_of_one_session_one_page_and_one_address() -> None:
    def drawn(token: str | None, *, at: str = "/people/keys", once: str = "drawn", name: str = "ct 1") -> str:
        cookie = [(b"cookie", f"{SESSION_COOKIE}={token}".encode())] if token else []
        request = Request({"type": "http", "path": at, "root_path": "", "headers": cookie})
        return press_of(request, Form((("once", once), ("name", name)))).text("key")

    assert drawn("mine") == drawn("mine")
    others = [
        drawn("mine"),
        drawn("another's"),
        drawn("mine", at="/people/users"),
        drawn("mine", once="of another page"),
        drawn("mine", name="ct 2"),
        *(drawn("mine", once="") for _ in range(2)),
        *(drawn(None) for _ in range(2)),
    ]
    assert len(set(others)) == len(others)


def test_another_name_in_the_same_form_makes_another_key(browser: Browser, client, session) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    page = get(root, "/people")
    answers = [
        pressed(root, "/people/keys", page, name=name, scopes=["read"]) for name in ("ct 1", "ct 1", "ct 2")
    ]
    first, second, other = (secret_in(answer.text) for answer in answers)
    assert first == second != other
    assert deeds(session, "key.added") == 2
    bearer = {"Authorization": f"Bearer {second}"}
    assert client.get("/api/v1/worklist", headers=bearer).status_code == 200
    made = session.scalars(select(ApiKey.id).where(ApiKey.name == "ct 1")).one()
    for _ in range(2):
        assert post(root, f"/people/keys/{made}/revoke", page).status_code == 303
    assert deeds(session, "key.revoked") == 1
    revoked = pressed(root, "/people/keys", page, name="ct 1", scopes=["read"])
    assert revoked.status_code == 409
    assert "The key ct 1 was made here and revoked." in words(revoked.text)


def test_a_person_is_added_once_and_both_presses_show_the_password(browser: Browser, client, session) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    page = get(root, "/people")
    carol = {"username": "Carol", "roles": ["auditor"]}
    first, second = (pressed(root, "/people/users", page, **carol) for _ in range(2))
    assert secret_in(first.text) == secret_in(second.text)
    assert deeds(session, "user.added") == 2, "root and Carol"
    signed_in(client, "carol", secret_in(second.text))
    assert pressed(root, "/people/users", page, **carol).status_code == 409


@pytest.mark.parametrize("what", ["password", "enable"])
def test_a_one_time_password_is_made_once_and_comes_back_to_nobody_who_has_changed_it(
    browser: Browser, client, session, what: str
) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    browser("dave", Role.RADIOLOGIST)
    dave = id_of(session, "dave")
    if what == "enable":
        post(root, f"/people/users/{dave}/disable", get(root, "/people"))
    page, address = get(root, "/people"), f"/people/users/{dave}/{what}"
    first, second = (secret_in(pressed(root, address, page).text) for _ in range(2))
    assert first == second
    assert deeds(session, "user.password-reset" if what == "password" else "user.enabled") == 1
    signed_in(client, "dave", second)
    later = pressed(root, address, page)
    if what == "enable":
        assert later.status_code == 409
    else:
        assert secret_in(later.text) != second


def test_a_destination_is_added_once_and_both_presses_show_its_secret(browser: Browser, session) -> None:
    ivan = browser("ivan", Role.INTEGRATOR)
    page = get(ivan, "/destinations")
    wish = {"name": "ris", "url": "https://ris.example/hook"}
    first, second = (pressed(ivan, "/destinations", page, **wish) for _ in range(2))
    made = session.scalars(select(Destination)).one()
    assert secret_in(first.text) == secret_in(second.text) == made.secret
    assert deeds(session, "destination.added") == 1
    assert post(ivan, "/destinations", page, **wish).status_code == 409, "another form of the same name"
    for _ in range(2):
        assert post(ivan, f"/destinations/{made.id}/disable", page).status_code == 303
    assert deeds(session, "destination.disabled") == 1
    assert pressed(ivan, "/destinations", page, **wish).status_code == 409


def test_a_second_factor_is_set_up_with_one_secret_and_one_set_of_codes(browser: Browser, session) -> None:
    alice = browser("alice", Role.RADIOLOGIST)
    page, begin = get(alice, "/account/second-factor"), "/account/second-factor/begin"
    first, second = (pressed(alice, begin, page, password=PASSWORD) for _ in range(2))
    secret = secret_in(first.text).replace(" ", "")
    assert secret == secret_in(second.text).replace(" ", "")
    assert len(secret) == 32
    app = pyotp.TOTP(secret)
    confirmed = post(
        alice,
        "/account/second-factor/confirm",
        second.text.replace('name="once"', ""),
        code=app.at(now(), counter_offset=-1),
    )
    assert confirmed.status_code == 200, words(confirmed.text)
    page, renew = get(alice, "/account/second-factor"), "/account/second-factor/recovery-codes"
    answers = [pressed(alice, renew, page, code=app.at(now(), counter_offset=1)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    one, other = (set(re.findall(r"\b(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}\b", each.text)) for each in answers)
    assert one == other
    assert len(one) == 10
    assert deeds(session, "user.recovery-codes-renewed") == 1


def test_a_snapshot_is_exported_once(browser: Browser, session) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    with transaction() as other:
        snapshot = a_snapshot(other, ENOUGH)
    address = f"/training/snapshots/{snapshot}"
    page = get(root, "/people")
    wishes = ["left-out", "left-out", "masked"]
    for burned_in in wishes:
        asked = post(root, f"{address}/exports", page, dates="removed", burned_in=burned_in)
        assert asked.status_code == 303
    made = session.scalars(select(SnapshotExport.burned_in).order_by(SnapshotExport.asked_at)).all()
    assert made == ["left-out", "masked"]
    assert session.scalar(select(func.count(Job.id))) == 2


@pytest.mark.parametrize(
    ("address", "fields", "action"),
    [
        ("/site/blind-share", {"share": "7"}, "site.blind-share-set"),
        ("/site/promotion-people", {"people": "1"}, "site.promotion-people-set"),
        ("/training/plan", {"every_days": "7"}, "site.retraining-planned"),
        ("/people/second-factor", {"roles": ["auditor"]}, "site.second-factor-required"),
        ("/people/users/{dave}/roles", {"roles": ["auditor"]}, "user.roles-set"),
        ("/people/users/{dave}/sessions/end", {}, "user.sessions-ended"),
    ],
)
def test_a_choice_is_on_record_once(
    browser: Browser, session, address: str, fields: dict[str, Any], action: str
) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    browser("dave", Role.RADIOLOGIST)
    page = get(root, "/people")
    for _ in range(2):
        answer = post(root, address.format(dave=id_of(session, "dave")), page, **fields)
        assert answer.status_code == 303, words(answer.text)
    assert deeds(session, action) == 1


def test_a_label_is_set_right_once_a_file_left_out_once_and_a_dataset_abandoned_once(
    browser: Browser, session
) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    with transaction() as other:
        dataset = a_dataset(other, patients(1))
    address = f"/training/datasets/{dataset}"
    file = session.scalars(select(DatasetFile.id)).one()
    page = get(root, address)
    for fields in ({"label": "NORMAL"}, {"left_out": "yes"}):
        for _ in range(2):
            assert post(root, f"{address}/files/{file}", page, **fields).status_code == 303
    assert deeds(session, "dataset.label-set-right") == deeds(session, "dataset.file-left-out") == 1
    assert post(root, f"{address}/files/{file}", page, label="NORMAL").status_code == 303
    assert session.scalars(select(DatasetFile.outcome)).one() == "usable", "taken in again"
    for _ in range(2):
        abandoned = post(root, f"{address}/abandon", page)
        assert (abandoned.status_code, abandoned.headers["location"]) == (303, "/training/datasets")
    assert deeds(session, "dataset.abandoned") == 1


def test_a_shadow_run_ends_once(browser: Browser, session) -> None:
    root = browser("root", Role.ADMINISTRATOR)
    with transaction() as other:
        registry.register(other, sha256="c" * 64, manifest={"name": "kept", "version": "1"}, by=SYSTEM)
        shadow.begin(other, sha256="c" * 64, by=SYSTEM)
    for _ in range(2):
        answer = post(root, f"/models/{'c' * 64}/shadow/end", get(root, "/people"))
        assert (answer.status_code, answer.headers["location"]) == (303, f"/models/{'c' * 64}/shadow")
    assert deeds(session, "shadow.ended") == 1
