"""Whose word counts for where a request came from: that of a proxy the operator named, and nobody else's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from app.cli.web import server_of
from app.settings import settings


async def tell(scope: dict[str, Any], _receive: Any, send: Callable[..., Any]) -> None:
    """An application that says where it believes the request came from."""
    if scope["type"] != "http":
        return
    body = json.dumps([scope["client"][0], scope["scheme"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def told(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def ask(*, trusted: str, forwarded: str) -> list[str]:
        monkeypatch.setenv("FIRSTREAD_TRUSTED_PROXIES", trusted)
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable opens nothing
        settings.cache_clear()
        server = server_of(tell, settings(), port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
        return list(httpx.get(f"http://127.0.0.1:{port}/", headers=headers, trust_env=False).json())

    yield ask
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


def test_a_stranger_who_says_where_they_come_from_is_not_believed(told: Callable[..., list[str]]) -> None:
    assert told(trusted="", forwarded="10.20.0.1") == ["127.0.0.1", "http"]
    assert told(trusted="10.0.0.0/8", forwarded="10.20.0.1") == ["127.0.0.1", "http"]


def test_a_named_proxy_is_believed_as_far_as_it_speaks_itself(told: Callable[..., list[str]]) -> None:
    assert told(trusted="127.0.0.0/8", forwarded="10.20.0.1") == ["10.20.0.1", "https"]
    # what the client put there before the proxy added its own is not its word
    assert told(trusted="127.0.0.1", forwarded="10.20.0.1, 192.0.2.7") == ["192.0.2.7", "https"]
