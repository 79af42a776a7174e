"""Who reads is served before who sends, for as long as a sender can wait."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest
from starlette.testclient import TestClient

from app.domain.roles import Scope
from app.records.engine import transaction
from app.web.main import create_app
from app.web.turns import Turns
from tests.builders import a_dicom, a_key


@pytest.mark.parametrize("stays", [False, True])
def test_a_sender_steps_aside_for_a_reader_but_not_for_long(stays: bool) -> None:
    async def served() -> list[str]:
        turns, answers = Turns(at_once=2, most=100), []

        async def send() -> None:
            answers.append(await turns.run(lambda: "admitted"))

        async with anyio.create_task_group() as senders:
            with turns.reading():
                with turns.reading():
                    senders.start_soon(send)
                    await anyio.sleep(0.05)
                await anyio.sleep(5 if stays else 0.05)
                answers.append("read")
        return answers

    assert anyio.run(served) == (["admitted", "read"] if stays else ["read", "admitted"])


def test_who_is_not_known_and_who_uploads_keep_no_sender_waiting(
    database: str, broker: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    reading = Turns.reading

    def noted(turns: Turns) -> AbstractContextManager[None]:
        seen.append("a reader")
        return reading(turns)

    monkeypatch.setattr(Turns, "reading", noted)
    with transaction() as session:
        key = {"Authorization": f"Bearer {a_key(session, 'ct', Scope.INTAKE, Scope.READ)}"}
    with TestClient(create_app(), base_url="http://firstread.test") as client:
        assert client.get("/sign-in").status_code == 200
        files = {"files": ("a.dcm", a_dicom())}
        assert client.post("/api/v1/studies", files=files, headers=key).status_code == 202
        assert client.post("/api/v1/studies", files=files).status_code == 401
        assert seen == []
        assert client.get("/dicomweb/studies", headers=key).status_code == 200
        assert seen == ["a reader"]
