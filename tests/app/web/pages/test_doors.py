"""Who sees which page, and what the navigation offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import app
from app.domain.roles import Role
from tests.app.web.pages.conftest import Browser
from tests.app.web.pages.forms import ACCEPT, get

PAGES = {
    Role.RADIOLOGIST: ["/", "/adjudication", "/upload", "/models"],
    Role.INTEGRATOR: ["/", "/upload", "/destinations", "/status"],
    Role.ADMINISTRATOR: [
        "/",
        "/upload",
        "/conflicts",
        "/destinations",
        "/models",
        "/training",
        "/people",
        "/site",
        "/status",
    ],
    Role.OPERATOR: ["/status"],
    Role.AUDITOR: ["/audit"],
}
EVERY_PAGE = [
    "/",
    "/adjudication",
    "/upload",
    "/conflicts",
    "/destinations",
    "/models",
    "/training",
    "/people",
    "/site",
    "/audit",
    "/status",
]


@pytest.mark.parametrize("role", list(Role))
def test_the_navigation_offers_what_the_role_may_open_and_nothing_else(browser: Browser, role: Role) -> None:
    theirs = browser("somebody", role)
    home = theirs.get("/", headers=ACCEPT)
    offered = re.findall(r'<a href="([^"]+)"', home.text.split("<nav", 1)[1].split("</nav>", 1)[0])
    assert offered == PAGES[role]
    for address in EVERY_PAGE[1:]:
        status = theirs.get(address, headers=ACCEPT).status_code
        assert status == (200 if address in PAGES[role] else 403), address


@pytest.mark.parametrize("role", list(Role))
def test_the_first_page_is_the_first_one_the_role_may_open(browser: Browser, role: Role) -> None:
    answer = browser("somebody", role).get("/", headers=ACCEPT)
    assert answer.status_code == 200
    assert answer.url.path == PAGES[role][0]


def test_a_refusal_is_a_page_in_words(browser: Browser) -> None:
    answer = browser("somebody", Role.AUDITOR).get("/people", headers=ACCEPT)
    assert answer.status_code == 403
    assert "Your roles do not include this." in answer.text
    assert "Not allowed" in answer.text


def test_an_address_without_a_page_says_so(browser: Browser) -> None:
    answer = browser("somebody", Role.RADIOLOGIST).get("/nowhere", headers=ACCEPT)
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.ADMINISTRATOR])
def test_no_page_names_another_host_or_holds_inline_code(browser: Browser, role: Role) -> None:
    theirs = browser("somebody", role)
    for address in [*PAGES[role], "/account", "/password"]:
        page = get(theirs, address)
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*"', page) == []
        assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page) == []
        assert re.findall(r'\s(?:style|on[a-z]+)="', page) == []


def test_every_page_says_what_it_is_not(browser: Browser) -> None:
    theirs = browser("somebody", Role.RADIOLOGIST)
    for address in PAGES[Role.RADIOLOGIST]:
        assert "For prioritisation only. Not a diagnosis; not a cleared medical device." in get(
            theirs, address
        )


def test_who_is_lost_keeps_the_navigation_and_is_not_asked_to_sign_in_again(browser: Browser) -> None:
    theirs = browser("somebody", Role.RADIOLOGIST)
    for address in ("/nowhere", "/studies/no-id-at-all"):
        answer = theirs.get(address, headers=ACCEPT)
        assert answer.status_code == 404, address
        assert "There is nothing at this address." in answer.text
        assert 'href="/upload"' in answer.text
        assert 'href="/sign-in"' not in answer.text


def test_a_stranger_who_is_lost_is_shown_the_sign_in(client: TestClient) -> None:
    answer = client.get("/nowhere", headers=ACCEPT)
    assert answer.status_code == 404
    assert 'href="/sign-in"' in answer.text


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/people/users", "/people"),
        ("/people/users/00000000-0000-0000-0000-000000000000/roles", "/people"),
        ("/sign-out", "/"),
        (
            "/studies/00000000-0000-0000-0000-000000000000/review",
            "/studies/00000000-0000-0000-0000-000000000000",
        ),
    ],
)
def test_the_answer_to_a_form_loaded_again_is_the_page_it_was_on(
    browser: Browser, address: str, page: str
) -> None:
    theirs = browser("somebody", Role.ADMINISTRATOR)
    answer = theirs.get(address, headers=ACCEPT, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, page)


def test_a_machine_is_told_which_methods_an_address_takes(client: TestClient) -> None:
    answer = client.get("/people/users", headers={"Accept": "application/json"}, follow_redirects=False)
    assert answer.status_code == 405
    assert answer.json()["type"] == "/problems/method-not-allowed"


_HARMLESS_TWICE = {
    "/audit/patient",
    "/help/guide",
    "/language",
    "/sign-out",
    "/site/patients",
    "/worklist/search",
}
"""They ask, or say what is so already; the second time changes nothing."""


def test_a_form_pressed_twice_is_sent_once() -> None:
    posted = [
        form
        for template in sorted((Path(app.__file__).parent / "web" / "templates").glob("*.html"))
        for form in re.findall(r"<form\b[^>]*>", template.read_text())
        if 'method="post"' in form
    ]
    assert len(posted) > 40
    twice = [form for form in posted if "data-once" not in form]
    assert {found for form in twice for found in re.findall('action="([^"]+)"', form)} == _HARMLESS_TWICE
