"""What is told of images to a real collector, and what becomes of it where the collector does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from app import collector, tracing
from app.settings import Settings
from tests.collector_server import CollectorServer, collecting
from tests.served import eventually, free_port


@pytest.fixture
def server() -> Iterator[CollectorServer]:
    """A collector."""
    with collecting() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """The process tells nobody after a test."""
    yield
    tracing.stop()


def _start(endpoint: str, *, part: str = "web") -> None:
    tracing.start(Settings(traces_endpoint=endpoint), part=part)


def _arrive(image: UUID) -> None:
    parts = {"receive": (1_000, 2_000), "admit": (2_000, 3_000)}
    facts: dict[str, tracing.Fact] = {"http.route": "/api/v1/studies", "study": str(uuid4())}
    tracing.tell_arrival(image, door="POST /api/v1/studies", step=(1_000, 4_000), parts=parts, facts=facts)


def test_two_processes_tell_of_one_trace_without_a_word_between_them(
    home: Path, server: CollectorServer
) -> None:
    one, other = uuid4(), uuid4()
    _start(server.endpoint, part="web")
    _arrive(one)
    tracing.stop()
    _start(server.endpoint, part="screening")
    tracing.tell("network", [one, other], step=(5_000, 6_000), facts={"bundle": "ab" * 32})
    tracing.stop()

    first, receive, admit, network = server.trace(one)
    assert [first.name, receive.name, admit.name] == ["POST /api/v1/studies", "receive", "admit"]
    assert (network.name, network.service, first.service) == (
        "network",
        "firstread-screening",
        "firstread-web",
    )
    assert first.parent == ""
    assert {receive.parent, admit.parent, network.parent} == {first.id}
    assert len({first.id, receive.id, admit.id, network.id}) == 4
    assert (network.began, network.ended) == (5_000, 6_000)
    assert network.facts == {"firstread.image": str(one), "firstread.bundle": "ab" * 32}
    assert first.facts["http.route"] == "/api/v1/studies"
    assert [span.name for span in server.trace(other)] == ["network"]


def test_a_clock_that_is_set_back_makes_no_span_that_ends_before_it_begins(
    home: Path, server: CollectorServer
) -> None:
    _start(server.endpoint)
    tracing.tell("decode", [uuid4()], step=(9_000, 1_000), facts={})
    tracing.stop()
    assert [(span.began, span.ended) for span in server.spans] == [(9_000, 9_000)]


def test_whoever_tells_does_not_wait_for_a_collector_that_does_not_answer(
    home: Path, server: CollectorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "_SECONDS_TO_END", 0.1)
    server.open.clear()
    _start(server.endpoint)
    for _ in range(3 * collector._MOST_WAITING):
        tracing.tell("decode", [uuid4()], step=(1, 2), facts={})
    eventually(lambda: server.bodies)
    assert not server.open.is_set(), "it has answered nothing, and all is told"
    tracing.stop()
    server.open.set()
    assert len(server.spans) <= collector._MOST_WAITING + 2 * collector._BATCH


def test_a_collector_that_is_down_is_said_once_and_harms_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "_SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(collector, "_SECONDS_TO_ANSWER", 0.05)
    with capture_logs() as logs:
        _start(f"http://127.0.0.1:{free_port()}/v1/traces")
        for _ in range(4):
            tracing.tell("decode", [uuid4()], step=(1, 2), facts={})
            eventually(lambda: logs)
        tracing.stop()
    assert [line["event"] for line in logs] == ["collector_silent"]


def test_spans_take_no_way_but_the_one_that_is_set(
    home: Path, server: CollectorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server.status = 307
    _start(server.endpoint)
    tracing.tell("decode", [uuid4()], step=(1, 2), facts={})
    tracing.stop()
    assert server.paths == ["/v1/traces"]


def test_without_a_collector_nothing_is_told_and_logs_name_no_trace(home: Path) -> None:
    tracing.start(Settings(), part="web")
    _arrive(uuid4())
    assert not tracing.is_on()
    assert tracing.found_by(uuid4()) == {}


def test_a_line_of_log_names_the_traces_of_its_images(home: Path, server: CollectorServer) -> None:
    one, other = uuid4(), uuid4()
    _start(server.endpoint)
    assert tracing.found_by(one, other) == {"trace_id": f"{one.hex} {other.hex}"}
    assert tracing.found_by() == {}


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4318",
        "https://who:secret@collector/v1/traces",
        "https://collector/v1/traces?token=secret",
        "ftp://collector/",
    ],
)
def test_an_endpoint_is_a_plain_address(home: Path, endpoint: str) -> None:
    with pytest.raises(ValidationError):
        Settings(traces_endpoint=endpoint)
