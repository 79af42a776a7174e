"""Every error is a problem document, and a caller's mistake is never a 500."""

from __future__ import annotations

import errno
import os
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError
from starlette.testclient import TestClient

from app.commands.audit import RefusalLog
from app.domain.roles import Role, Scope
from app.errors import Problem
from app.records.engine import forget_engine
from app.settings import settings
from app.told import untold
from app.web.invalid import problem_of_validation
from app.web.main import create_app
from app.web.problems import known_problems
from tests.app.web.conftest import KeyMaker, SignIn
from tests.builders import a_dicom
from tests.listening import refusals
from tests.served import eventually


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/worklist", 405),
        ("GET", "/api/v1/studies/not-a-uuid", 422),
        ("GET", "/api/v1/studies/00000000-0000-4000-8000-000000000000", 404),
        ("GET", "/api/v1/studies", 400),
        ("GET", "/api/v1/studies?accession_number=%00", 400),
        ("GET", "/api/v1/studies?accession_number=" + "x" * 65, 422),
        ("GET", "/api/v1/worklist?cursor=abc", 400),
        ("GET", "/api/v1/worklist?cursor=" + "x" * 300, 422),
        ("GET", "/api/v1/worklist?cursor=WyJub3ciLCAieCJd", 400),
        ("GET", "/api/v1/worklist?cursor=WzEsMl0", 400),
        ("GET", "/api/v1/worklist?cursor=%FF%FE", 400),
        ("GET", "/api/v1/worklist?size=0", 422),
        ("GET", "/api/v1/worklist?size=99999999999999999999", 422),
        ("GET", "/api/v1/worklist?size=many", 422),
        ("GET", "/api/v1/studies/%00", 400),
        ("GET", "/api/v1/images/00000000-0000-4000-8000-000000000000/pixels", 404),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/static/../main.py", 404),
        ("GET", "/static/%2e%2e/main.py", 404),
        ("POST", "/static/swagger/page.js", 405),
        ("GET", "/problems/nothing", 404),
    ],
)
def test_mistakes_are_answered_in_words(
    client: TestClient, sender: dict[str, str], method: str, path: str, status: int
) -> None:
    answer = client.request(method, path, headers=sender)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    assert client.get(body["type"]).status_code == 200
    assert answer.headers["x-request-id"] == body["request_id"]


def test_a_request_keeps_the_id_that_a_proxy_gave_it_and_no_id_that_may_name_a_patient(
    client: TestClient,
) -> None:
    def named(given: str) -> str:
        return client.get("/problems/nothing", headers={"X-Request-ID": given}).headers["x-request-id"]

    for proxy in ("0f8fad5b-d9cb-469f-a165-70867728950e", "7D444840F8FAD5BD9CB469FA16570867"):
        assert named(proxy) == proxy
    for word in ("Okafor-Ada", "P-31415", "31415926", "20211103", "1.2.840.10008.31415", "deadbeef"):
        assert UUID(named(word)) and word not in named(word)


REVIEWS = "/api/v1/studies/00000000-0000-4000-8000-000000000000/reviews"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'"text"', 422),
        (b"[]", 422),
        (b'{"revision": 1, "confirm": "perhaps"}', 422),
        (b'{"revision": 1, "findings": {"pneumonia": "maybe"}}', 422),
        (b'{"revision": 1, "findings": {"": "present"}}', 422),
        (b'{"revision": 1, "unknown": 1}', 422),
        (b'{"revision": 1, "comment": "\\u0000"}', 422),
        (b'{"revision": 1, "comment": "\\ud800"}', 422),
        (b'{"revision": 1, "findings": {"\\u0000": "present"}}', 422),
        (b'{"revision": 1, "comment": "' + b"x" * 20_000 + b'"}', 422),
        (b'{"revision": 1e400}', 422),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"confirm": true}', 422),
        (b'{"confirm": true, "revision": 0}', 422),
        (b'{"confirm": true, "revision": "first"}', 422),
        (b'{"confirm": true, "revision": 1}', 404),
    ],
)
def test_bodies_that_make_no_sense_are_refused(sign_in: SignIn, body: bytes, status: int) -> None:
    client = sign_in(Role.RADIOLOGIST)
    answer = client.post(REVIEWS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (dict[str, int], "x", "this is not an object with names and values"),
        (list[int], 1, "this is not a list"),
        (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "these are more than 2"),
        (Annotated[list[int], Field(min_length=2)], [1], "these are fewer than 2"),
        (Annotated[str, Field(max_length=2)], "abc", "this has more than 2 characters"),
        (Annotated[str, Field(min_length=2)], "a", "this has fewer than 2 characters"),
        (Annotated[str, Field(pattern="^a$")], "b", "this is not written as it must be"),
        (str, 1, "this is not a text"),
        (int, "many", "this is not a whole number"),
        (int, 1.5, "this is not a whole number"),
        (float, "many", "this is not a number"),
        (bool, "perhaps", "this is neither true nor false"),
        (Annotated[int, Field(ge=3)], 2, "this is less than 3"),
        (Annotated[int, Field(gt=3)], 3, "this is not more than 3"),
        (Annotated[int, Field(le=3)], 4, "this is more than 3"),
        (Annotated[int, Field(lt=3)], 3, "this is not less than 3"),
        (UUID, "x", "this is not a UUID"),
        (AwareDatetime, "noon", "this is not a date and time as ISO 8601 writes it, with its zone"),
        (
            AwareDatetime,
            "2026-01-02T03:04:05",
            "this is not a date and time as ISO 8601 writes it, with its zone",
        ),
        (date, "noon", "this is not a date, written year-month-day"),
        (Literal["up", "down"], "left", "this must be one of 'up' or 'down'"),
        (Role, "king", "this must be one of 'radiologist', "),
    ],
)
def test_what_pydantic_objects_to_is_said_in_words_of_the_catalogue(
    kind: Any, value: Any, words: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    problem = problem_of_validation(
        RequestValidationError([{**item, "loc": ("body", "size")} for item in refused.value.errors()])
    )
    assert problem.detail.startswith(f"body.size: {words}")
    assert not untold(problem.detail, of="zh_Hans")


def test_a_value_that_is_refused_is_not_repeated(client: TestClient, sender: dict[str, str]) -> None:
    answer = client.get("/api/v1/worklist?size=Mustermann", headers=sender)
    assert "Mustermann" not in answer.text
    assert answer.json()["errors"][0]["where"] == "query.size"


def test_a_small_route_takes_no_large_body(sign_in: SignIn) -> None:
    client = sign_in(Role.RADIOLOGIST)
    answer = client.post(REVIEWS, content=b"x" * 2_000_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "address", ["http://[", "ftp://host/", "http://user@host/", "nowhere", "http://h:0/", "http://a b/"]
)
def test_a_destination_that_is_no_address_is_refused(sign_in: SignIn, address: str) -> None:
    client = sign_in(Role.ADMINISTRATOR)
    answer = client.post("/api/v1/destinations", json={"name": "ris", "url": address})
    assert answer.status_code == 422, answer.text


def test_an_error_nobody_foresaw_is_logged_and_says_nothing_of_its_insides(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of patient Mustermann")

    monkeypatch.setattr("app.queries.worklist.page", broken)
    answer = client.get("/api/v1/worklist", headers=sender)
    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal-error"
    assert "Mustermann" not in answer.text
    log = capsys.readouterr().out
    assert "RuntimeError" in log and answer.json()["request_id"] in log
    assert "Mustermann" not in log


def test_a_silent_database_is_a_503_that_says_when_to_come_again(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTREAD_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    forget_engine()
    for answer in (
        client.get("/api/v1/worklist", headers=sender),
        client.post("/api/v1/studies", files={"files": ("a", a_dicom())}, headers=sender),
    ):
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/unavailable"
        assert int(answer.headers["retry-after"]) > 0
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] == "the database does not answer"


def test_the_counts_of_a_flood_that_has_stopped_are_written_while_the_process_goes_on(
    database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.parts.RefusalLog", partial(RefusalLog, window_seconds=0.5))
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        for _ in range(25):
            assert client.get("/api/v1/worklist").status_code == 401
        eventually(lambda: sum(row.count for row in refusals()) == 25)


def test_a_full_disk_is_a_503_and_nothing_is_admitted(
    client: TestClient, sender: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("app.blobs.os.fsync", full)
        answer = client.post("/api/v1/studies", files={"files": ("a", a_dicom())}, headers=sender)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert client.get("/api/v1/worklist", headers=sender).json()["studies"] == []


def test_every_type_of_problem_is_explained(client: TestClient) -> None:
    kinds = known_problems()
    assert issubclass(kinds["cross-site-request"], Problem)
    for slug, kind in kinds.items():
        body = client.get(f"/problems/{slug}").json()
        assert body["title"] == kind.title
        assert body["meaning"]


def test_every_response_carries_the_same_protection(client: TestClient, key: KeyMaker) -> None:
    for answer in (
        client.get("/sign-in"),
        client.get("/nothing"),
        client.get("/healthz"),
        client.get("/static/swagger/page.js"),
        client.get("/docs"),
        client.get("/api/v1/worklist", headers=key(Scope.READ)),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
    assert client.get("/api/v1/worklist", headers=key(Scope.READ)).headers["cache-control"] == "no-store"
