"""An OpenTelemetry collector for tests, on loopback: reads OTLP over HTTP and keeps what it was told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Told:
    """One span, and the service it came from."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    facts: dict[str, Any]


@dataclass
class CollectorServer:
    """`open` lets it answer; until it is set, whoever sends waits."""

    endpoint: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Told]:
        """All that came, in the order of their beginnings."""
        found = [
            Told(
                service=_facts(of_one.resource)["service.name"],
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                began=span.start_time_unix_nano,
                ended=span.end_time_unix_nano,
                facts=_facts(span),
            )
            for body in self.bodies
            for of_one in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in of_one.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.began)

    def trace(self, image: UUID | str) -> list[Told]:
        """The spans of an image."""
        return [span for span in self.spans if span.trace == UUID(str(image)).hex]


def _facts(of: Any) -> dict[str, Any]:
    return {
        fact.key: getattr(fact.value, fact.value.WhichOneof("value") or "string_value")
        for fact in of.attributes
    }


@contextmanager
def collecting() -> Iterator[CollectorServer]:
    """A collector that answers; what is posted elsewhere than to its endpoint is answered and not kept."""
    kept = CollectorServer()
    kept.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.paths.append(self.path)
            if self.path == "/v1/traces":
                kept.bodies.append(body)
                kept.open.wait(30)
            self.send_response(kept.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    kept.endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kept
    finally:
        kept.open.set()
        server.shutdown()
        server.server_close()
