"""From the request at the door to the delivery of the reading: one trace for each image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from app import tracing
from app.commands import delivery
from app.domain.roles import SYSTEM, Scope
from app.records import Image, Study
from app.records.engine import transaction
from app.settings import settings
from app.web.main import create_app
from tests.builders import a_dicom, a_key, a_png
from tests.collector_server import CollectorServer, collecting
from tests.listening import listening
from tests.worker.conftest import a_broken_dicom
from worker.deliver import Courier
from worker.screener import Screener

_AT_THE_DOOR = ["receive", "read header", "admit", "ring"]
_READ = ["wait", "claim", "decode", "network", "record"]
_WHAT = {
    "bytes",
    "images",
    "study",
    "image",
    "request",
    "via",
    "attempt",
    "outcome",
    "rows",
    "columns",
    "bundle",
    "runtime",
    "delivery",
}


@pytest.fixture
def server(configure: Callable[..., None]) -> Iterator[CollectorServer]:
    """A collector that the settings name."""
    with collecting() as server:
        configure(traces_endpoint=server.endpoint, destination_ranges="127.0.0.0/8")
        yield server
        tracing.stop()


def _admitted(*requests: tuple[str, bytes], headers: dict[str, str] | None = None) -> list[dict[str, object]]:
    """The images in the order of the requests, sent to a web process that has ended since; its log."""
    with transaction() as session:
        key = a_key(session, "ct 1", Scope.INTAKE, Scope.READ)
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    part = b"--x\r\nContent-Type: application/dicom\r\n\r\n%s\r\n--x--\r\n"
    with (
        capture_logs() as logs,
        TestClient(create_app(), headers={"Authorization": f"Bearer {key}", **(headers or {})}) as web,
    ):
        for way, data in requests:
            if way == "stow":
                answer = web.post("/dicomweb/studies", content=part % data, headers={"Content-Type": kind})
            else:
                answer = web.post("/api/v1/studies", files={"files": ("a.dcm", data)})
            assert answer.status_code < 300, answer.text
    return [dict(line) for line in logs if line["event"] == "image_admitted"]


def _read(screener: Screener) -> None:
    """What is due is screened and delivered by processes that have ended since."""
    tracing.start(settings(), part="screening")
    screener.drain()
    Courier(settings()).drain(stop=threading.Event())
    tracing.stop()


def test_each_image_has_one_trace_from_the_door_to_the_delivery(
    server: CollectorServer, database: str, broker: str, screener: Screener
) -> None:
    with transaction() as session:
        delivery.add_destination(
            session, name="RIS", url=server.endpoint.replace("/v1/traces", "/hook"), by=SYSTEM
        )
    lines = _admitted(("rest", a_dicom()), ("stow", a_dicom()), ("rest", a_png()))
    _read(screener)
    assert server.paths.count("/hook") == 3
    assert len({span.trace for span in server.spans}) == 3
    ways = ["POST /api/v1/studies", "POST /dicomweb/studies", "POST /api/v1/studies"]
    for line, way in zip(lines, ways, strict=True):
        spans = server.trace(str(line["image"]))
        assert line["trace_id"] == spans[0].trace
        assert {span.name for span in spans} == {way, *_AT_THE_DOOR, *_READ, "deliver"}
        assert len(spans) == len({span.name for span in spans})
        [first] = [span for span in spans if span.name == way]
        assert {span.parent for span in spans if span is not first} == {first.id}
        assert first.facts["firstread.request"] == line["request_id"]
        assert first.facts["firstread.study"] == line["study"]
        ended = {span.name: span.ended for span in spans}
        done = [*_AT_THE_DOOR, "claim", "decode", "network", "record", "deliver"]
        assert sorted(done, key=lambda name: ended[name]) == done
        [record] = [span for span in spans if span.name == "record"]
        assert record.facts["firstread.outcome"] in ("screened", "withheld")
        assert len(record.facts["firstread.bundle"]) == 64


def test_spans_hold_ids_of_ours_and_numbers_and_nothing_of_the_patient(
    server: CollectorServer, database: str, broker: str, screener: Screener
) -> None:
    _admitted(("rest", a_dicom(tags={"PatientName": "Marked^Name", "PatientID": "31415-marked"})))
    _read(screener)
    names = {name for span in server.spans for name in span.facts}
    http = {"http.request.method", "http.route", "http.response.status_code"}
    assert names - http <= {f"firstread.{name}" for name in _WHAT}
    everything = b"".join(server.bodies)
    with transaction() as session:
        image = session.scalars(select(Image)).one()
        study = session.scalars(select(Study)).one()
    for what in (study.study_instance_uid, image.series_instance_uid, image.sop_instance_uid, image.sha256):
        assert what.encode() not in everything
    assert b"arked" not in everything


def test_what_a_caller_calls_the_request_is_in_no_log_and_no_trace(
    server: CollectorServer, database: str, broker: str
) -> None:
    [line] = _admitted(("rest", a_dicom()), headers={"X-Request-ID": "MARKED-31415"})
    assert UUID(str(line["request_id"]))
    assert server.trace(str(line["image"]))[0].facts["firstread.request"] == line["request_id"]
    assert b"MARKED" not in b"".join(server.bodies)


def test_the_trace_of_an_image_that_came_by_c_store_begins_with_its_first_bytes(
    server: CollectorServer, database: str, broker: str, configure: Callable[..., None]
) -> None:
    configure(dimse_allow="CARE7@127.0.0.1")
    tracing.start(settings(), part="dimse")
    with capture_logs() as logs, listening() as here:
        assert here.store(a_dicom()).Status == 0
    tracing.stop()
    [line] = [line for line in logs if line["event"] == "image_admitted"]
    first, *further = server.trace(line["image"])
    assert (first.name, first.parent, first.service) == ("C-STORE", "", "firstread-dimse")
    assert [span.name for span in further] == _AT_THE_DOOR
    assert {span.parent for span in further} == {first.id}
    assert (further[0].began, further[-1].ended) == (first.began, first.ended)
    assert further[0].began < further[0].ended
    assert first.facts["firstread.study"] == line["study"]
    assert line["trace_id"] == first.trace


def test_an_image_that_cannot_be_decoded_was_in_no_network(
    server: CollectorServer, database: str, broker: str, screener: Screener
) -> None:
    [line] = _admitted(("rest", a_broken_dicom()))
    _read(screener)
    spans = {span.name: span.facts for span in server.trace(str(line["image"]))}
    assert spans["decode"]["firstread.outcome"] == spans["record"]["firstread.outcome"] == "failed"
    assert "network" not in spans


def test_bytes_that_come_again_begin_no_second_trace(
    server: CollectorServer, database: str, broker: str
) -> None:
    data = a_dicom()
    first, again = _admitted(("rest", data), ("rest", data))
    assert first["image"] == again["image"]
    assert (first["is_new"], again["is_new"]) == (True, False)
    spans = server.trace(UUID(str(first["image"])))
    assert sorted(span.name for span in spans) == sorted(["POST /api/v1/studies", *_AT_THE_DOOR])


def test_opentelemetrys_own_variables_make_nobody_send(
    home: Path, database: str, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as server:
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            monkeypatch.setenv(name, server.endpoint.removesuffix("/v1/traces"))
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        [line] = _admitted(("rest", a_dicom()))
        assert server.paths == []
    assert "trace_id" not in line
