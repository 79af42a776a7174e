"""People in their own browsers, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.roles import Role
from app.records.engine import engine, transaction
from tests.builders import PASSWORD, a_user

Browser = Callable[..., TestClient]


@pytest.fixture
def session(database: str) -> Iterator[Session]:
    """A session beside the application's, to look what it wrote and to prepare what it finds."""
    with Session(engine()) as session:
        yield session


@pytest.fixture
def browser(client: TestClient) -> Iterator[Browser]:
    """`browser("alice", Role.RADIOLOGIST)`: a client of the running application with only her cookie."""
    opened: list[TestClient] = []

    def open_browser(name: str, *roles: Role) -> TestClient:
        with transaction() as session:
            a_user(session, name, *roles)
        theirs = TestClient(client.app, base_url="http://firstread.test")
        opened.append(theirs)
        answer = theirs.post(
            "/sign-in", data={"username": name, "password": PASSWORD}, follow_redirects=False
        )
        assert answer.status_code == 303, answer.text
        return theirs

    yield open_browser
    for each in opened:
        each.close()
