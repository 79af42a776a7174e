"""In which language a request is answered: the person's, the browser's, the site's; machines have English."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from fastapi import APIRouter
from sqlalchemy import select
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient

from app import language
from app.domain.roles import Caller, Role, Scope
from app.records import User
from app.records.engine import transaction
from app.settings import settings
from app.web.auth import GuardedRoute, signed_in
from app.web.main import create_app
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import PASSWORD, a_user

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}
PAGE = {"Accept": "text/html"}


def test_the_sign_in_page_speaks_what_the_browser_asks_for(client: TestClient) -> None:
    page = client.get("/sign-in", headers=CHINESE).text
    assert '<html lang="zh-Hans">' in page
    assert "用户名" in page
    page = client.get("/sign-in").text
    assert '<html lang="en">' in page
    assert "User name" in page


def test_a_site_that_speaks_chinese_does_so_where_nobody_asks_for_another(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "language", "zh_Hans")
    assert "用户名" in client.get("/sign-in").text
    assert "用户名" in client.get("/sign-in", headers={"Accept-Language": "fr"}).text
    assert "User name" in client.get("/sign-in", headers={"Accept-Language": "fr, en;q=0.5"}).text


def test_a_language_chosen_before_signing_in_stays_with_the_browser(client: TestClient) -> None:
    answer = client.post("/language", data={"language": "zh_Hans", "next": "/upload"}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fupload"
    assert "用户名" in client.get("/sign-in").text


def test_a_language_that_there_is_not_is_refused(client: TestClient) -> None:
    assert client.post("/language", data={"language": "tlh"}).status_code == 422


def test_a_persons_choice_counts_in_every_browser(client: TestClient, sign_in: SignIn) -> None:
    person = sign_in(Role.RADIOLOGIST)
    assert '<html lang="en">' in person.get("/account", headers=PAGE).text
    answer = person.post("/account/language", data={"language": "zh_Hans"})
    assert '<html lang="zh-Hans">' in answer.text
    assert "firstread_language" not in person.cookies, "others may sign in at this browser"
    assert '<html lang="zh-Hans">' in person.get("/account", headers={"Accept-Language": "en"}).text
    person.post("/account/language", data={"language": ""})
    assert '<html lang="en">' in person.get("/account", headers={"Accept-Language": "en"}).text
    assert '<html lang="zh-Hans">' in person.get("/account", headers=CHINESE).text
    assert person.post("/account/language", data={"language": "tlh"}).status_code == 422


def test_an_error_is_a_page_in_the_readers_language(sign_in: SignIn) -> None:
    person = sign_in(Role.RADIOLOGIST)
    person.post("/account/language", data={"language": "zh_Hans"})
    answer = person.get("/nothing/here", headers=PAGE)
    assert answer.status_code == 404
    assert '<html lang="zh-Hans">' in answer.text


@pytest.fixture
def heard(database: str, broker: str) -> Iterator[TestClient]:
    """The application with routes that tell in which language they hear themselves asked."""
    app = create_app()
    router = APIRouter(route_class=GuardedRoute)

    @router.get("/api/v1/heard")
    @router.get("/dicomweb/heard")
    @router.get("/heard")
    def in_a_thread(_caller: Annotated[Caller, signed_in()]) -> str:
        return language.current()

    @router.get("/streamed")
    async def in_a_stream(_caller: Annotated[Caller, signed_in()]) -> Response:
        async def chunks() -> AsyncIterator[str]:
            yield language.current()
            yield " " + await run_in_threadpool(language.current)

        return StreamingResponse(chunks())

    @router.get("/events-heard")
    async def in_events(_caller: Annotated[Caller, signed_in()]) -> Response:
        async def events() -> AsyncIterator[ServerSentEvent]:
            yield ServerSentEvent(language.current())

        return EventSourceResponse(events())

    app.router.routes[:0] = router.routes
    with TestClient(app, base_url="http://firstread.test") as client:
        yield client


def test_a_key_and_dicomweb_are_answered_in_english(heard: TestClient, key: KeyMaker) -> None:
    heard.cookies.set("firstread_language", "zh_Hans")
    for address in ("/api/v1/heard", "/dicomweb/heard"):
        assert heard.get(address, headers=key(Scope.READ) | CHINESE).json() == "en"


def test_a_session_is_spoken_to_in_threads_streams_and_events(heard: TestClient) -> None:
    with transaction() as session:
        a_user(session, "reader", Role.RADIOLOGIST)
    heard.post("/sign-in", data={"username": "reader", "password": PASSWORD})
    with transaction() as session:
        person = session.scalars(select(User).where(User.username == "reader")).one()
        person.preferences = {"language": "zh_Hans"}
    assert heard.get("/heard").json() == "zh_Hans"
    assert heard.get("/api/v1/heard").json() == "zh_Hans"
    assert heard.get("/dicomweb/heard").json() == "en"
    assert heard.get("/streamed").text == "zh_Hans zh_Hans"
    assert heard.get("/events-heard").text.strip() == "data: zh_Hans"
