"""The real application in the test's own process, and callers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.roles import Role, Scope
from app.records import Session
from app.records.engine import transaction
from app.web.main import create_app
from tests.builders import PASSWORD, a_key, a_user

KeyMaker = Callable[..., dict[str, str]]
SignIn = Callable[..., TestClient]


@pytest.fixture
def client(database: str, broker: str) -> Iterator[TestClient]:
    """The application, with nobody signed in."""
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        yield client


@pytest.fixture
def key(database: str) -> KeyMaker:
    """Makes a key with the given scopes and returns the header that carries it."""
    made = 0

    def make(*scopes: Scope) -> dict[str, str]:
        nonlocal made
        made += 1
        with transaction() as session:
            return {"Authorization": f"Bearer {a_key(session, f'key {made}', *scopes)}"}

    return make


@pytest.fixture
def sender(key: KeyMaker) -> dict[str, str]:
    """The header of a key that sends and reads."""
    return key(Scope.INTAKE, Scope.READ)


@pytest.fixture
def archive(client: TestClient, sender: dict[str, str]) -> TestClient:
    """The application, with a key that sends and reads."""
    client.headers.update(sender)
    return client


@pytest.fixture
def sign_in(client: TestClient) -> SignIn:
    """Makes a person with the given roles and signs the client in; its requests carry the CSRF token."""
    made = 0

    def make(*roles: Role) -> TestClient:
        nonlocal made
        made += 1
        name = f"person{made}"
        with transaction() as session:
            a_user(session, name, *roles)
        client.cookies.clear()
        answer = client.post(
            "/sign-in", data={"username": name, "password": PASSWORD}, follow_redirects=False
        )
        assert answer.status_code == 303, answer.text
        client.headers["X-CSRF-Token"] = csrf_token(client)
        return client

    return make


def csrf_token(client: TestClient) -> str:
    """The token of the client's session."""
    with transaction() as session:
        token = session.scalar(
            select(Session.csrf_token).where(Session.ended_at.is_(None)).order_by(Session.created_at.desc())
        )
    assert token is not None
    return token
